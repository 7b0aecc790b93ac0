// A machine without any citizen: it authenticates with an assertion signed with SM2,
// gets a token signed with SM2, and verifies it as an API would.
import { readFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { sign, verify } from './jws.mjs'

const { ECARD_ISSUER, CLIENT_ID, CLIENT_KEY } = process.env
const now = () => Math.floor(Date.now() / 1000)
const server = await (await fetch(`${ECARD_ISSUER}/.well-known/openid-configuration`)).json()

const response = await fetch(server.token_endpoint, {
  method: 'POST',
  body: new URLSearchParams({
    grant_type: 'client_credentials',
    scope: 'card.status',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: sign(JSON.parse(readFileSync(CLIENT_KEY, 'utf8')), 'JWT', {
      iss: CLIENT_ID, sub: CLIENT_ID, aud: ECARD_ISSUER, jti: randomUUID(), iat: now(), exp: now() + 60,
    }),
  }),
})
const answer = await response.json()
if (!response.ok) throw new Error(JSON.stringify(answer))

// SM2 keys are in a set of their own: common libraries refuse a set that has one.
const { keys } = await (await fetch(server.sm2_jwks_uri)).json()
const claims = verify(answer.access_token, 'at+jwt', keys)
if (claims.iss !== ECARD_ISSUER || claims.aud !== 'urn:ecardid:resource:card' || claims.exp <= now()) throw new Error('not for us')
console.log(JSON.stringify({ sub: claims.sub, scope: claims.scope }))
