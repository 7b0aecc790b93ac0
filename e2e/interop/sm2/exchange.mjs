// Reads {"keys", "token"}, verifies the token, and answers in kind: for the test of
// both directions.
import { readFileSync } from 'node:fs'
import { generate, publicHalf, sign, verify } from './jws.mjs'

const { keys, token } = JSON.parse(readFileSync(0, 'utf8'))
const claims = verify(token, 'at+jwt', keys)
const key = generate('theirs')
console.log(JSON.stringify({ keys: [publicHalf(key)], token: sign(key, 'at+jwt', { ...claims, iss: 'sm-crypto' }) }))
