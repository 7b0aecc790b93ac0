// A relying party of profile fapi2 with openid-client: pushed authorization request,
// private_key_jwt, DPoP; then userinfo, refresh, a call to an API, and the way out.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createPrivateKey, randomUUID, webcrypto } from 'node:crypto'
import * as client from 'openid-client'

const { ECARD_ISSUER, CLIENT_ID, CLIENT_KEY, CLIENT_KEY_ID, PORT, API_URL } = process.env
const base = `http://localhost:${PORT}`

const der = createPrivateKey(readFileSync(CLIENT_KEY)).export({ type: 'pkcs8', format: 'der' })
const key = await webcrypto.subtle.importKey('pkcs8', der, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const config = await client.discovery(
  new URL(ECARD_ISSUER),
  CLIENT_ID,
  undefined,
  client.PrivateKeyJwt({ key, kid: CLIENT_KEY_ID }),
  // Only for an issuer on this very machine.
  { execute: ECARD_ISSUER.startsWith('http://') ? [client.allowInsecureRequests] : [] },
)

const waiting = new Map() // by cookie: what a browser has to come back with

async function start(req, res) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const expectedState = client.randomState()
  const expectedNonce = client.randomNonce()
  // The tokens of this sign-in are bound to a key of their own.
  const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
  const url = await client.buildAuthorizationUrlWithPAR(config, {
    redirect_uri: `${base}/callback`,
    scope: 'openid profile offline_access insurance.read',
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: expectedState,
    nonce: expectedNonce,
  }, { DPoP })
  const session = randomUUID()
  waiting.set(session, { pkceCodeVerifier, expectedState, expectedNonce, DPoP })
  res.writeHead(303, { location: url.href, 'set-cookie': `session=${session}; HttpOnly; SameSite=Lax; Path=/; Max-Age=600` }).end()
}

async function callback(req, res) {
  const session = /(?:^|; )session=([^;]+)/.exec(req.headers.cookie ?? '')?.[1]
  const begun = waiting.get(session)
  if (!begun) throw new Error('not the browser that began')
  waiting.delete(session)
  const { DPoP, ...checks } = begun
  // State, iss (RFC 9207), nonce and the ID token's signature are checked in here.
  const tokens = await client.authorizationCodeGrant(config, new URL(req.url, base), checks, undefined, { DPoP })
  const { sub, acr } = tokens.claims()
  const person = await client.fetchUserInfo(config, tokens.access_token, sub, { DPoP })
  const renewed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, { DPoP })
  const answer = await client.fetchProtectedResource(
    config, renewed.access_token, new URL(API_URL), 'GET', undefined, undefined, { DPoP })
  const logout = client.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: `${base}/bye` })
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({
    sub, acr, name: person.name, refreshed: renewed.access_token !== tokens.access_token, bound: tokens.token_type,
    status: answer.status, bills: await answer.text(), logout: logout.href,
  }))
}

createServer((req, res) => {
  const { pathname } = new URL(req.url, base)
  const page = { '/': start, '/callback': callback, '/bye': async () => res.end('bye') }[pathname]
  if (!page) return res.writeHead(404).end()
  page(req, res).catch((err) => {
    console.error(err)
    res.writeHead(400).end('Signing in did not work.')
  })
}).listen(PORT, 'localhost')
