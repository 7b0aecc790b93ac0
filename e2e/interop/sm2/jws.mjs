// Compact JWS with SGD_SM3_SM2 (GM/T 0125) by sm-crypto: SM3 with Z of the default
// identity "1234567812345678" over the octets, r‖s in 64 bytes, crv "SM2".
import sm from 'sm-crypto'

const hash = { hash: true, userId: '1234567812345678' }
const hex = (b64) => Buffer.from(b64, 'base64url').toString('hex')
const b64 = (text, from) => Buffer.from(text, from).toString('base64url')
const json = (part) => JSON.parse(Buffer.from(part, 'base64url').toString())
const point = ({ x, y }) => '04' + hex(x) + hex(y)

// generate returns a private JWK.
export function generate(kid) {
  const { privateKey, publicKey } = sm.sm2.generateKeyPairHex()
  return {
    kty: 'EC', crv: 'SM2', alg: 'SGD_SM3_SM2', use: 'sig', kid,
    x: b64(publicKey.slice(2, 66), 'hex'), y: b64(publicKey.slice(66), 'hex'), d: b64(privateKey, 'hex'),
  }
}

export function publicHalf({ d, ...jwk }) {
  return jwk
}

export function sign(jwk, typ, claims) {
  const input = b64(JSON.stringify({ alg: 'SGD_SM3_SM2', typ, kid: jwk.kid })) + '.' + b64(JSON.stringify(claims))
  return input + '.' + b64(sm.sm2.doSignature(input, hex(jwk.d), { ...hash, publicKey: point(jwk) }), 'hex')
}

// verify returns the claims of a token of that type whose signature is right. Who
// made it for whom and until when it is good is the caller's to compare.
export function verify(token, typ, keys) {
  const [head, payload, signature, ...rest] = token.split('.')
  if (!signature || rest.length > 0 || signature.length !== 86) throw new Error('not a JWS')
  const header = json(head)
  if (header.alg !== 'SGD_SM3_SM2' || header.crit || header.typ?.toLowerCase() !== typ) throw new Error('not the header of such a token')
  const jwk = keys.find((k) => k.kid === header.kid && k.kty === 'EC' && k.crv === 'SM2')
  if (!jwk) throw new Error('no key of that kid')
  if (!sm.sm2.doVerifySignature(`${head}.${payload}`, hex(signature), point(jwk), hash)) throw new Error('not the signature')
  return json(payload)
}
