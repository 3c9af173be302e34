"""A user logs in to a web site by OpenID Connect, with Authlib: HOST:PORT USER PASSWORD. Fails with a traceback.

Authlib is a client that others have written. It finds the provider by its discovery document, reads the keys there, and looks
at everything that an id token says. The browser is played by the script.
"""

import html
import re
import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

address, user, password = sys.argv[1:4]
issuer = f"https://{address}"
back = "http://127.0.0.1:49152/back"
verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
nonce = "n-0S6_WzA2Mj"

# Discovery, section 4.3: the issuer is the one that was asked for.
found = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=30).json()
assert found["issuer"] == issuer, found
assert "RS256" in found["id_token_signing_alg_values_supported"], found
assert not found["request_uri_parameter_supported"] and not found["claims_parameter_supported"], found

registration = requests.post(
    found["registration_endpoint"],
    json={
        "client_name": "Site",
        "redirect_uris": ["http://127.0.0.1/back"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_basic",
        "id_token_signed_response_alg": "RS256",
        "subject_type": "public",
    },
    timeout=30,
).json()
client = OAuth2Session(
    registration["client_id"],
    registration["client_secret"],
    scope="openid email profile",
    redirect_uri=back,
    code_challenge_method="S256",
)


def keys():
    return KeySet.import_key_set(requests.get(found["jwks_uri"], timeout=30).json())


def read(token, **params):
    """The claims of an id token, looked at (Core, section 3.1.3.7)."""
    decoded = jwt.decode(token["id_token"], keys(), algorithms=["RS256"])
    assert decoded.header["kid"], decoded.header
    options = {
        "iss": {"essential": True, "value": issuer},
        "aud": {"essential": True, "value": client.client_id},
    }
    params = {"client_id": client.client_id, "access_token": token["access_token"], **params}
    claims = CodeIDToken(decoded.claims, decoded.header, options, params)
    claims.validate(leeway=5)
    return claims


def refused(what, **params):
    try:
        read(what, **params)
    except JoseError:
        return
    raise AssertionError(f"{params} was taken")


def log_in(**more):
    """The user's browser: the page, and where it is sent from there."""
    url, state = client.create_authorization_url(
        found["authorization_endpoint"], code_verifier=verifier, nonce=nonce, **more
    )
    browser = requests.Session()
    page = browser.get(url, timeout=30)
    assert page.status_code == 200, page.text
    for words in ["See your mail address", "See your name"]:
        assert words in page.text, page.text
    field = html.unescape(re.search('name="token" value="([^"]*)"', page.text)[1])
    answer = {"token": field, "login": user, "password": password, "answer": "allow"}
    sent = browser.post(url, data=answer, headers={"Origin": issuer}, allow_redirects=False, timeout=30)
    assert sent.status_code == 303, sent.text
    return client.fetch_token(
        found["token_endpoint"],
        authorization_response=sent.headers["Location"],
        code_verifier=verifier,
        state=state,
    )


token = log_in(prompt="login", max_age="0")
claims = read(token, nonce=nonce, max_age=1)
assert claims["sub"] and "amr" not in claims, claims

# What is not as it was signed, or not for this login, is found out.
refused(token, nonce="another")
refused({**token, "access_token": "another"})
head, body, signature = token["id_token"].split(".")
changed = ("A" if signature[0] != "A" else "B") + signature[1:]
refused({**token, "id_token": f"{head}.{body}.{changed}"})

for ask in [client.get, client.post]:
    told = ask(found["userinfo_endpoint"], timeout=30).json()
    assert told["sub"] == claims["sub"] and told["email"] == user and told["email_verified"], told

again = client.refresh_token(found["token_endpoint"], refresh_token=token["refresh_token"])
refreshed = read(again)
assert "nonce" not in refreshed, refreshed
for name in ["iss", "sub", "aud", "azp", "auth_time"]:
    assert refreshed[name] == claims[name], (name, refreshed)

# Nobody stays logged in.
url, _ = client.create_authorization_url(
    found["authorization_endpoint"], code_verifier=verifier, nonce=nonce, prompt="none"
)
sent = requests.get(url, allow_redirects=False, timeout=30)
assert "error=login_required" in sent.headers["Location"], sent.headers
