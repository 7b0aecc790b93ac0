package attest

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// The extension, and the tags of its authorization lists that we read. The full
// list is in the Android documentation and grows with each version, which is why
// lists are walked tag by tag and not read into a struct.
const (
	tagPurpose         = 1
	tagAlgorithm       = 2
	tagKeySize         = 3
	tagECCurve         = 10
	tagNoAuthRequired  = 503
	tagUserAuthType    = 504
	tagAllApplications = 600
	tagOrigin          = 702
	tagRootOfTrust     = 704
	tagOSVersion       = 705
	tagOSPatchLevel    = 706
	tagApplicationID   = 709
)

const (
	securitySoftware  = 0
	securityTEE       = 1
	securityStrongBox = 2

	purposeSign   = 2
	purposeVerify = 3

	algorithmEC     = 3
	curveP256       = 1
	originGenerated = 0
	bootVerified    = 0

	maxExtension = 16 << 10
	maxTags      = 128 // in one list; there are about fifty
	maxElements  = 32  // in one set
)

func oidKeyDescription() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}
}

// A keyDescription is the extension, read.
type keyDescription struct {
	attestationVersion  int64
	attestationSecurity int64
	keyMintSecurity     int64
	challenge           []byte
	software, hardware  authorizations
}

// authorizations maps the tag of an entry to what is inside its explicit tag.
type authorizations map[int]asn1.RawValue

// rootOfTrust says how the phone booted.
type rootOfTrust struct {
	locked bool
	state  int64
}

// applicationID names the apps that share the caller's uid, and their signers.
type applicationID struct {
	packages []string
	digests  [][]byte
}

var errDER = errors.New("not the DER expected")

// A der reads one value after the other. Lengths and tags are checked to be
// minimal by encoding/asn1; trailing bytes are for end to find.
type der struct{ rest []byte }

func (d *der) next(class, tag int, compound bool) (asn1.RawValue, error) {
	v, err := d.any()
	if err != nil {
		return asn1.RawValue{}, err
	}
	if v.Class != class || v.Tag != tag || v.IsCompound != compound {
		return asn1.RawValue{}, fmt.Errorf("%w: class %d tag %d", errDER, v.Class, v.Tag)
	}
	return v, nil
}

func (d *der) any() (asn1.RawValue, error) {
	var v asn1.RawValue
	rest, err := asn1.Unmarshal(d.rest, &v)
	if err != nil {
		return asn1.RawValue{}, fmt.Errorf("%w: %w", errDER, err)
	}
	d.rest = rest
	return v, nil
}

func (d *der) end() error {
	if len(d.rest) != 0 {
		return fmt.Errorf("%w: trailing bytes", errDER)
	}
	return nil
}

func (d *der) sequence() (*der, error) {
	v, err := d.next(asn1.ClassUniversal, asn1.TagSequence, true)
	return &der{v.Bytes}, err
}

func (d *der) octets() ([]byte, error) {
	v, err := d.next(asn1.ClassUniversal, asn1.TagOctetString, false)
	return v.Bytes, err
}

// number reads an INTEGER or ENUMERATED that fits and is not negative.
func (d *der) number(tag int) (int64, error) {
	v, err := d.next(asn1.ClassUniversal, tag, false)
	if err != nil {
		return 0, err
	}
	b := v.Bytes
	switch {
	case len(b) == 0, len(b) > 8, b[0]&0x80 != 0, len(b) > 1 && b[0] == 0 && b[1]&0x80 == 0:
		return 0, fmt.Errorf("%w: a number of %d bytes", errDER, len(b))
	}
	var n int64
	for _, c := range b {
		n = n<<8 | int64(c)
	}
	return n, nil
}

func (d *der) boolean() (bool, error) {
	v, err := d.next(asn1.ClassUniversal, asn1.TagBoolean, false)
	if err != nil {
		return false, err
	}
	if len(v.Bytes) != 1 || v.Bytes[0] != 0 && v.Bytes[0] != 0xff {
		return false, fmt.Errorf("%w: BOOLEAN", errDER)
	}
	return v.Bytes[0] != 0, nil
}

// parseKeyDescription reads the extension's value. What fails to parse gives
// nothing.
func parseKeyDescription(raw []byte) (keyDescription, error) {
	if len(raw) > maxExtension {
		return keyDescription{}, fmt.Errorf("%w: an extension of %d bytes", errDER, len(raw))
	}
	top := &der{raw}
	d, err := top.sequence()
	if err != nil {
		return keyDescription{}, err
	}
	var k keyDescription
	if k.attestationVersion, err = d.number(asn1.TagInteger); err != nil {
		return keyDescription{}, fmt.Errorf("attestationVersion: %w", err)
	}
	if k.attestationSecurity, err = d.number(asn1.TagEnum); err != nil {
		return keyDescription{}, fmt.Errorf("attestationSecurityLevel: %w", err)
	}
	if _, err = d.number(asn1.TagInteger); err != nil {
		return keyDescription{}, fmt.Errorf("keyMintVersion: %w", err)
	}
	if k.keyMintSecurity, err = d.number(asn1.TagEnum); err != nil {
		return keyDescription{}, fmt.Errorf("keyMintSecurityLevel: %w", err)
	}
	if k.challenge, err = d.octets(); err != nil {
		return keyDescription{}, fmt.Errorf("attestationChallenge: %w", err)
	}
	if _, err = d.octets(); err != nil {
		return keyDescription{}, fmt.Errorf("uniqueId: %w", err)
	}
	if k.software, err = d.authorizations(); err != nil {
		return keyDescription{}, fmt.Errorf("softwareEnforced: %w", err)
	}
	if k.hardware, err = d.authorizations(); err != nil {
		return keyDescription{}, fmt.Errorf("hardwareEnforced: %w", err)
	}
	if err := errors.Join(d.end(), top.end()); err != nil {
		return keyDescription{}, err
	}
	return k, nil
}

func (d *der) authorizations() (authorizations, error) {
	list, err := d.sequence()
	if err != nil {
		return nil, err
	}
	as := authorizations{}
	for len(list.rest) > 0 {
		v, err := list.any()
		if err != nil {
			return nil, err
		}
		if v.Class != asn1.ClassContextSpecific || !v.IsCompound {
			return nil, fmt.Errorf("%w: an entry of class %d", errDER, v.Class)
		}
		if _, twice := as[v.Tag]; twice || len(as) == maxTags {
			return nil, fmt.Errorf("%w: tag %d again, or too many", errDER, v.Tag)
		}
		inner := &der{v.Bytes}
		value, err := inner.any()
		if err != nil {
			return nil, err
		}
		if err := inner.end(); err != nil {
			return nil, err
		}
		as[v.Tag] = value
	}
	return as, nil
}

// number returns an INTEGER entry; ok is false when it is not there.
func (as authorizations) number(tag int) (n int64, ok bool, err error) {
	v, ok := as[tag]
	if !ok {
		return 0, false, nil
	}
	n, err = (&der{v.FullBytes}).number(asn1.TagInteger)
	return n, err == nil, err
}

// numbers returns a SET OF INTEGER entry, empty when it is not there.
func (as authorizations) numbers(tag int) ([]int64, error) {
	v, ok := as[tag]
	if !ok {
		return nil, nil
	}
	set, err := (&der{v.FullBytes}).set()
	if err != nil {
		return nil, err
	}
	var ns []int64
	for len(set.rest) > 0 {
		n, err := set.number(asn1.TagInteger)
		if err != nil {
			return nil, err
		}
		if ns = append(ns, n); len(ns) > maxElements {
			return nil, fmt.Errorf("%w: too many elements", errDER)
		}
	}
	return ns, nil
}

func (d *der) set() (*der, error) {
	v, err := d.next(asn1.ClassUniversal, asn1.TagSet, true)
	return &der{v.Bytes}, err
}

func (as authorizations) rootOfTrust() (rootOfTrust, bool, error) {
	v, ok := as[tagRootOfTrust]
	if !ok {
		return rootOfTrust{}, false, nil
	}
	d, err := (&der{v.FullBytes}).sequence()
	if err != nil {
		return rootOfTrust{}, false, err
	}
	if _, err := d.octets(); err != nil {
		return rootOfTrust{}, false, fmt.Errorf("verifiedBootKey: %w", err)
	}
	var r rootOfTrust
	if r.locked, err = d.boolean(); err != nil {
		return rootOfTrust{}, false, fmt.Errorf("deviceLocked: %w", err)
	}
	if r.state, err = d.number(asn1.TagEnum); err != nil {
		return rootOfTrust{}, false, fmt.Errorf("verifiedBootState: %w", err)
	}
	// verifiedBootHash came with version 3; more may come.
	return r, true, nil
}

// applicationID reads entry 709, an OCTET STRING around its own DER.
func (as authorizations) applicationID() (applicationID, bool, error) {
	v, ok := as[tagApplicationID]
	if !ok {
		return applicationID{}, false, nil
	}
	raw, err := (&der{v.FullBytes}).octets()
	if err != nil {
		return applicationID{}, false, err
	}
	top := &der{raw}
	d, err := top.sequence()
	if err != nil {
		return applicationID{}, false, err
	}
	infos, err := d.set()
	if err != nil {
		return applicationID{}, false, fmt.Errorf("packageInfos: %w", err)
	}
	var id applicationID
	for len(infos.rest) > 0 {
		info, err := infos.sequence()
		if err != nil {
			return applicationID{}, false, err
		}
		name, err := info.octets()
		if err != nil {
			return applicationID{}, false, err
		}
		if _, err := info.number(asn1.TagInteger); err != nil {
			return applicationID{}, false, err
		}
		if id.packages = append(id.packages, string(name)); len(id.packages) > maxElements {
			return applicationID{}, false, fmt.Errorf("%w: too many packages", errDER)
		}
	}
	digests, err := d.set()
	if err != nil {
		return applicationID{}, false, fmt.Errorf("signatureDigests: %w", err)
	}
	for len(digests.rest) > 0 {
		sum, err := digests.octets()
		if err != nil {
			return applicationID{}, false, err
		}
		if id.digests = append(id.digests, sum); len(id.digests) > maxElements {
			return applicationID{}, false, fmt.Errorf("%w: too many digests", errDER)
		}
	}
	if err := errors.Join(d.end(), top.end()); err != nil {
		return applicationID{}, false, err
	}
	return id, true, nil
}
