package password

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// A HashFile is a list of breached passwords as Have I Been Pwned publishes it
// "ordered by hash": lines of an upper-case SHA-1, a colon and a count, sorted. It
// is searched where it lies, some thirty short reads in forty gigabytes. Safe for
// concurrent use if its reader is, as a file is.
//
// SHA-1 is the list's format and protects nothing here.
type HashFile struct {
	r    io.ReaderAt
	size int64
}

// ErrHashFile: the file is not such a list, or not sorted. What is found in an
// unsorted file means nothing, so nothing is looked up.
var ErrHashFile = errors.New("password: not a list of SHA-1 hashes in order")

const (
	hashLength = 2 * sha1.Size
	// maxLine is 40 digits, a colon, 20 of count and CR LF, rounded up.
	maxLine = 64
	// samples are looked at on opening to see that the order holds.
	samples = 64
)

// OpenHashFile looks at the first line, the last and some between, so that a
// list in another order is refused at start and not silently of no use.
func OpenHashFile(r io.ReaderAt, size int64) (*HashFile, error) {
	f := &HashFile{r: r, size: size}
	if size <= 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrHashFile)
	}
	var previous []byte
	at := int64(-1)
	for i := range int64(samples) + 1 {
		// The last sample is the last byte; size×i would overflow only beyond 2⁵⁶.
		start, err := f.lineStart(0, (size-1)/samples*i+(size-1)%samples*i/samples)
		if err != nil {
			return nil, err
		}
		hash, _, err := f.line(start)
		if err != nil {
			return nil, err
		}
		if start != at && bytes.Compare(previous, hash) >= 0 {
			return nil, fmt.Errorf("%w: out of order before byte %d", ErrHashFile, start)
		}
		previous, at = hash, start
	}
	return f, nil
}

// Contains implements Leak by binary search over bytes: from the middle back to
// the beginning of its line, and on from there.
func (f *HashFile) Contains(password string) (bool, error) {
	sum := sha1.Sum([]byte(password))
	want := []byte(hex.EncodeToString(sum[:]))
	low, high := int64(0), f.size // both are where lines begin
	for low < high {
		start, err := f.lineStart(low, low+(high-low)/2)
		if err != nil {
			return false, err
		}
		hash, end, err := f.line(start)
		if err != nil {
			return false, err
		}
		switch bytes.Compare(hash, want) {
		case 0:
			return true, nil
		case -1:
			low = end
		default:
			high = start
		}
	}
	return false, nil
}

// lineStart returns where the line that holds byte at begins, not before low.
func (f *HashFile) lineStart(low, at int64) (int64, error) {
	from := max(low, at-maxLine)
	window := make([]byte, at-from)
	if err := f.read(window, from); err != nil {
		return 0, err
	}
	if i := bytes.LastIndexByte(window, '\n'); i >= 0 {
		return from + int64(i) + 1, nil
	}
	if from > low {
		return 0, fmt.Errorf("%w: a long line before byte %d", ErrHashFile, at)
	}
	return low, nil
}

// line returns the hash on the line at start, in lower case, and where the next
// line begins.
func (f *HashFile) line(start int64) (hash []byte, end int64, err error) {
	window := make([]byte, min(maxLine, f.size-start))
	if err := f.read(window, start); err != nil {
		return nil, 0, err
	}
	text, _, ended := bytes.Cut(window, []byte("\n"))
	end = start + int64(len(text))
	if ended {
		end++
	} else if end != f.size {
		return nil, 0, fmt.Errorf("%w: a long line at byte %d", ErrHashFile, start)
	}
	hash, count, counted := bytes.Cut(bytes.TrimSuffix(text, []byte("\r")), []byte(":"))
	if !isHash(hash) || counted && (len(count) == 0 || onlyDigits(string(count)) != string(count)) {
		return nil, 0, fmt.Errorf("%w: byte %d", ErrHashFile, start)
	}
	return bytes.ToLower(hash), end, nil
}

func isHash(text []byte) bool {
	_, err := hex.Decode(make([]byte, sha1.Size), text[:min(len(text), hashLength)])
	return err == nil && len(text) == hashLength
}

func (f *HashFile) read(into []byte, at int64) error {
	if len(into) == 0 {
		return nil
	}
	// ReadAt may return io.EOF together with a full buffer.
	if n, err := f.r.ReadAt(into, at); n < len(into) {
		return fmt.Errorf("password: reading the list of hashes: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	return nil
}
