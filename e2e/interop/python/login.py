"""A relying party with Authlib and Flask: code flow with PKCE, private_key_jwt,
userinfo, refresh, and a call to an API.
"""

import os
import secrets

from authlib.integrations.flask_client import OAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from flask import Flask, request
from joserfc.jwk import ECKey

ISSUER = os.environ["ECARD_ISSUER"]
PORT = os.environ["PORT"]
CALLBACK = f"http://localhost:{PORT}/callback"

with open(os.environ["CLIENT_KEY"], "rb") as pem:
    KEY = ECKey.import_key(pem.read())


class Assertion(PrivateKeyJWT):
    """Authlib's own is addressed to the token endpoint and lives an hour; the server
    wants to be addressed by its issuer identifier alone, and five minutes at most.
    """

    def sign(self, auth, token_endpoint):
        return private_key_jwt_sign(
            KEY,
            client_id=auth.client_id,
            token_endpoint=ISSUER,  # becomes aud
            header={"kid": os.environ["CLIENT_KEY_ID"]},
            alg="ES256",
            expires_in=60,
        )


app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)  # one for all processes, in production

ecard = OAuth(app).register(
    "ecard",
    client_id=os.environ["CLIENT_ID"],
    server_metadata_url=f"{ISSUER}/.well-known/openid-configuration",
    client_auth_methods=[Assertion()],
    client_kwargs={
        "scope": "openid profile offline_access insurance.read",
        "code_challenge_method": "S256",
        "token_endpoint_auth_method": "private_key_jwt",
    },
)


@app.get("/")
def start():
    return ecard.authorize_redirect(CALLBACK)


@app.get("/callback")
def callback():
    if request.args.get("iss") != ISSUER:  # RFC 9207
        return "Not our issuer's answer.", 400
    token = ecard.authorize_access_token()  # state, nonce and the ID token are checked in here
    person = ecard.userinfo(token=token)
    renewed = ecard.fetch_access_token(
        grant_type="refresh_token", refresh_token=token["refresh_token"]
    )
    bills = ecard.get(os.environ["API_URL"], token=renewed)
    return {
        "sub": token["userinfo"]["sub"],
        "acr": token["userinfo"]["acr"],
        "name": person["name"],
        "refreshed": renewed["access_token"] != token["access_token"],
        "status": bills.status_code,
        "bills": bills.text,
    }


if __name__ == "__main__":
    app.run("localhost", int(PORT))
