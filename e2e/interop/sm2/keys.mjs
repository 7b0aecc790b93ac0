// node keys.mjs KEY_FILE: makes a key, keeps it in the file and prints the JWK Set to
// register the client with.
import { writeFileSync } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { generate, publicHalf } from './jws.mjs'

const key = generate(randomUUID())
writeFileSync(process.argv[2], JSON.stringify(key), { mode: 0o600, flag: 'wx' })
console.log(JSON.stringify({ keys: [publicHalf(key)] }))
