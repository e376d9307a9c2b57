"""Runs every outbound-application function of PyPI `descope`, which is not ours and not changed,
against a Strongroom, and says what it saw.

Use:     python sdk.py sync|async '{"url":"…","project":"…","key":"…",…}'
Says:    one line of JSON for each check: {"checked":{"function","endpoint","what"}}, where the
         endpoint is what the SDK asked for last; once {"functions":[…]}, what the SDK has.
Asks:    {"do":"…",…}, for what only the other side can bring about; a line of JSON comes back.
Ends:    with an error at the first thing that is not as it should be.
"""

import asyncio
import base64
import inspect
import json
import sys

from descope import AuthException, DescopeClient, DescopeClientAsync, RateLimitException
from descope.management.common import AccessType, PromptType, URLParam

NO_TOKEN = (404, "E152102")
SCOPE = "calendar.read"


def say(line):
    print(json.dumps(line), flush=True)


def ask(what, **more):
    """Has the other side do something, and returns what it says."""
    say({"do": what, **more})
    return json.loads(sys.stdin.readline())


class Sdk:
    """A client as a program makes one; with `token`, its by-token functions."""

    def __init__(self, kind, settings, key=None, token=None):
        make = {"sync": DescopeClient, "async": DescopeClientAsync}[kind]
        self.client = make(
            project_id=settings["project"],
            base_url=settings["url"],
            management_key=key,
            verbose=True,
        )
        self.token = token

    def functions(self):
        mgmt = self.client.mgmt
        if self.token is None:
            return mgmt.outbound_application, ""
        return mgmt.outbound_application_by_token, "by_token."

    def names(self):
        own, prefix = self.functions()
        # `aclose` of an async class asks for nothing; it is called at the end.
        public = (name for name in dir(own) if not name.startswith("_") and name != "aclose")
        return [prefix + name for name in public if callable(getattr(own, name))]

    def last(self):
        return self.client.get_last_response().raw

    def checked(self, name, what):
        request = self.last().request
        endpoint = f"{request.method} {request.url.path}"
        say({"checked": {"function": name, "endpoint": endpoint, "what": what}})

    async def call(self, name, /, *args, **kwargs):
        """What a function gives, its name, and what to say it by."""
        own, prefix = self.functions()
        if self.token is not None:
            args = (self.token, *args)
        got = getattr(own, name)(*args, **kwargs)
        return (await got if inspect.isawaitable(got) else got), prefix + name

    async def ok(self, what, name, /, *args, **kwargs):
        got, said = await self.call(name, *args, **kwargs)
        assert self.last().status_code == 200, (name, what)
        if what:
            self.checked(said, what)
        return got

    async def refused(self, what, expected, name, /, *args, **kwargs):
        """The SDK's own error has this status and this code of ours."""
        prefix = self.functions()[1]
        try:
            got, _ = await self.call(name, *args, **kwargs)
        except AuthException as error:
            assert error.error_type == "server error", (name, what, error)
            told = json.loads(error.error_message)
            assert (error.status_code, told["errorCode"]) == expected, (name, what, error)
            assert told["errorDescription"] and told["errorMessage"], (name, what, error)
            self.checked(prefix + name, what)
            return told["errorMessage"]
        raise AssertionError((name, what, "no error", got))

    async def later(self, name, /, *args, **kwargs):
        """The SDK's own error for 429 has all that it reads of one."""
        try:
            await self.call(name, *args, **kwargs)
        except RateLimitException as error:
            assert error.status_code == "E130429", error
            assert error.error_type == "API rate limit exceeded", error
            assert error.error_description and "locked" in error.error_message, error
            assert error.rate_limit_parameters["Retry-After"] > 0, error
            self.checked(self.functions()[1] + name, "429")
            return
        raise AssertionError((name, "no RateLimitException"))


FETCHES = {
    "fetch_token": "u1",
    "fetch_token_by_scopes": "u1",
    "fetch_tenant_token": "t1",
    "fetch_tenant_token_by_scopes": "t1",
}


def fetch(name, app, owner):
    return (app, owner, [SCOPE]) if name.endswith("by_scopes") else (app, owner)


class Run:
    def __init__(self, kind, settings):
        self.settings = settings
        self.sdk = Sdk(kind, settings, key=settings["key"])
        self.by_token = Sdk(kind, settings, token=settings["key"])
        wrong = settings["key"][:-1] + ("A" if settings["key"][-1] != "A" else "Q")
        self.wrong = Sdk(kind, settings, key=wrong)
        self.jwt = Sdk(kind, settings, token=settings["jwt"])
        self.wrong_token = Sdk(kind, settings, token=wrong)
        self.bare = Sdk(kind, settings, key=settings["powerless"])
        self.bare_token = Sdk(kind, settings, token=settings["powerless"])

    def oauth(self, **more):
        """All that `create_application` takes."""
        issuer = self.settings["issuer"]
        given = {
            "name": "Mail",
            "description": "Letters",
            "logo": "https://app.example/logo.png",
            "id": "mail",
            "client_id": "demo",
            "client_secret": self.settings["client_secret"],
            "discovery_url": f"{issuer}/.well-known/openid-configuration",
            "authorization_url": f"{issuer}/authorize",
            "authorization_url_params": [URLParam("audience", "api")],
            "token_url": f"{issuer}/token",
            "token_url_params": [URLParam("resource", "https://api.example")],
            "revocation_url": f"{issuer}/revoke",
            "default_scopes": [SCOPE, "openid"],
            "default_redirect_url": "https://app.example/done",
            "callback_domain": "127.0.0.1",
            "pkce": True,
            "access_type": AccessType.OFFLINE,
            "prompt": [PromptType.CONSENT, PromptType.SELECT_ACCOUNT],
        }
        return {**given, **more}

    async def made(self):
        """What a client asks by itself, and what it asks when it checks a signature."""
        await self.sdk.ok(None, "load_all_applications")
        sent = self.sdk.last().request.headers
        assert sent["x-descope-license"] == "tier4", sent
        endpoint = "GET /v1/mgmt/license"
        say({"checked": {"function": "DescopeClient", "endpoint": endpoint, "what": "the tier"}})
        part = lambda of: base64.urlsafe_b64encode(json.dumps(of).encode()).rstrip(b"=").decode()
        jwt = part({"alg": "RS256", "kid": "k1"}) + "." + part({"sub": "u1"}) + ".c2ln"
        try:
            got = self.sdk.client.validate_session(jwt)
            await got if inspect.isawaitable(got) else got
        except AuthException as error:
            assert "Public key not found" in error.error_message, error
            assert self.sdk.last().json() == {"keys": []}
            self.sdk.checked("validate_session", "no key")
            return
        raise AssertionError("a signature of nobody was taken")

    async def apps(self):
        sdk = self.sdk
        app = (await sdk.ok("an OAuth app", "create_application", **self.oauth()))["app"]
        given = self.oauth()
        for theirs, ours in [
            ("name", "name"), ("description", "description"), ("logo", "logo"), ("id", "id"),
            ("clientId", "client_id"), ("discoveryUrl", "discovery_url"),
            ("authorizationUrl", "authorization_url"), ("tokenUrl", "token_url"),
            ("revocationUrl", "revocation_url"), ("defaultScopes", "default_scopes"),
            ("defaultRedirectUrl", "default_redirect_url"), ("pkce", "pkce"),
        ]:
            assert app[theirs] == given[ours], (theirs, app)
        assert app["authorizationUrlParams"] == [{"key": "audience", "value": "api"}], app
        assert app["accessType"] == "offline", app
        assert app["prompt"] == ["consent", "select_account"], app
        assert "clientSecret" not in app, app
        again = await sdk.ok("as it was made", "load_application", "mail")
        assert again["app"] == app, again
        every = (await sdk.ok("every app", "load_all_applications"))["apps"]
        assert {one["id"]: one["appType"] for one in every} == {
            "demo": "oauth", "mail": "oauth", "weather": "apikey"
        }, every
        await self.change(app)
        bad = (400, "E011002")
        await sdk.refused("400", bad, "create_application", "No client")
        await sdk.refused("400", (400, "E151001"), "create_application", **self.oauth())
        await sdk.refused("400", bad, "update_application", "", "Nobody")
        await sdk.refused("400", bad, "delete_application", "")
        unknown = (404, "S000404")
        await sdk.refused("404", unknown, "load_application", "none")
        await sdk.refused("404", unknown, "update_application", **self.oauth(id="none"))
        await sdk.refused("404", unknown, "delete_application", "none")
        await sdk.ok("with its tokens", "delete_application", "mail")
        await sdk.refused("404 nothing stored", NO_TOKEN, "fetch_token", "demo", "u1")
        await sdk.refused("404", unknown, "load_application", "mail")

    async def change(self, app):
        """An update is the whole app, and keeps the secret: a refresh needs it."""
        grant = ask("grant", user="u1")
        await self.sdk.ok(None, "upload_user_token", "mail", "u1",
                          refresh_token=grant["refresh_token"], scopes=[SCOPE])
        bare = self.oauth(name="Post", description=None, client_secret=None, prompt=None)
        changed = (await self.sdk.ok("the whole app", "update_application", **bare))["app"]
        assert changed == {**app, "name": "Post", "description": "", "prompt": []}, changed
        await self.sdk.ok(None, "fetch_token", "mail", "u1", options={"forceRefresh": True})
        say({"checked": {"function": "update_application",
                         "endpoint": "POST /v1/mgmt/outbound/app/update",
                         "what": "the secret stays"}})

    async def uploads(self):
        sdk, names = self.sdk, {"user": "u1", "tenant": "t1"}
        for level, owner in names.items():
            upload = f"upload_{level}_token"
            grant = ask("grant", user="u1")
            whole = {
                "refresh_token": grant["refresh_token"], "access_token": grant["access_token"],
                "access_token_expiry": grant["expires_at"], "access_token_type": "Bearer",
                "scopes": [SCOPE], "external_identifier": "work", "id_token": "a.b.c",
                "granted_by": "u7", "verify_refresh": False,
            }
            assert await sdk.ok("with all that was said", upload, "demo", owner, **whole) == {}
            fetched = f"fetch_{level}_token" if level == "tenant" else "fetch_token"
            more = {"options": {"refreshToken": True}}
            token = (await sdk.ok(None, fetched, "demo", owner, **more))["token"]
            for theirs, value in [
                ("accessToken", grant["access_token"]), ("refreshToken", grant["refresh_token"]),
                ("accessTokenExpiry", str(grant["expires_at"])), ("accessTokenType", "Bearer"),
                ("scopes", [SCOPE]), ("externalIdentifier", "work"), ("grantedBy", "u7"),
                ("appId", "demo"), ("hasRefreshToken", True), (f"{level}Id", owner),
            ]:
                assert token[theirs] == value, (upload, theirs, token)
            tried = {"refresh_token": ask("grant", user="u1")["refresh_token"],
                     "scopes": [SCOPE], "verify_refresh": True}
            await sdk.ok("tried first", upload, "demo", f"tried-{owner}", **tried)
            token = (await sdk.ok(None, fetched, "demo", f"tried-{owner}"))["token"]
            assert token["lastRefreshTime"] and ask("is_live", token=token["accessToken"]), token
            tried["refresh_token"] = "spent-long-ago"
            await sdk.refused("400 refresh refused", (400, "E011004"), upload, "demo", "x", **tried)
            await sdk.refused("400", (400, "E011002"), upload, "demo", "x")
            await sdk.refused("400", (400, "E011003"), upload, "weather", "x", access_token="a")
            unknown = (404, "S000404")
            await sdk.refused("404", unknown, upload, "none", "x", access_token="a")
            await self.batch(level)
            await self.keys(level, owner)
        await sdk.ok("in a tenant", "upload_user_token", "demo", "member", tenant_id="t1",
                     access_token="of-member")
        token = (await sdk.ok(None, "fetch_token", "demo", "member", "t1"))["token"]
        assert token["accessToken"] == "of-member", token
        for user in ["gone", "stale"]:
            grant = ask("grant", user=user)
            given = {"refresh_token": grant["refresh_token"], "scopes": [SCOPE],
                     "access_token": grant["access_token"],
                     "access_token_expiry": grant["expires_at"]}
            await sdk.ok(None, "upload_user_token", "demo", user, **given)
            grant = ask("grant", user=user)
            given["refresh_token"] = grant["refresh_token"]
            await sdk.ok(None, "upload_tenant_token", "demo", user, **given)

    async def batch(self, level):
        sdk, upload = self.sdk, f"batch_upload_{level}_tokens"
        item = lambda owner: {"appId": "demo", f"{level}Id": owner, "accessToken": f"of-{owner}"}
        stored = await sdk.ok("stored whole", upload, [item("b1"), item("b2")])
        assert stored == {"failures": []}, stored
        fetched = f"fetch_{level}_token" if level == "tenant" else "fetch_token"
        token = (await sdk.ok(None, fetched, "demo", "b2"))["token"]
        assert token["accessToken"] == "of-b2", token
        bad = [item("b3"), {"appId": "demo", f"{level}Id": "b4"}]
        said = await sdk.ok("nothing for one bad item", upload, bad)
        [failure] = said["failures"]
        assert (failure["appId"], failure[f"{level}Id"]) == ("demo", "b4"), failure
        assert failure["errorCode"] == "E152110" and failure["reason"], failure
        await sdk.refused("404 nothing stored", NO_TOKEN, fetched, "demo", "b3")
        await sdk.refused("400", (400, "E011003"), upload, [item("b")] * 1001)

    async def keys(self, level, owner):
        sdk, upload = self.sdk, f"upload_{level}_api_key"
        assert await sdk.ok("stored", upload, "weather", owner, f"key-of-{owner}") == {}
        if level == "user":
            await sdk.ok("in a tenant", upload, "weather", owner, "key-in-t1", tenant_id="t1")
            token = (await sdk.ok(None, "fetch_token", "weather", owner, "t1"))["token"]
            assert token["accessToken"] == "key-in-t1", token
        await sdk.refused("400", (400, "E011002"), upload, "weather", owner, "")
        await sdk.refused("400", (400, "E011003"), upload, "demo", owner, "k")
        await sdk.refused("404", (404, "S000404"), upload, "none", owner, "k")

    async def fetches(self, sdk):
        token = (await sdk.ok(None, "fetch_token", "demo", "ada"))["token"]
        assert token["tokenSub"] == "ada" and ask("is_live", token=token["accessToken"]), token
        for name, owner in FETCHES.items():
            demo = fetch(name, "demo", owner)
            token = (await sdk.ok("an OAuth token", name, *demo))["token"]
            assert ask("is_live", token=token["accessToken"]), token
            assert token["hasRefreshToken"] and "refreshToken" not in token, token
            key = (await sdk.ok("an API key", name, *fetch(name, "weather", owner)))["token"]
            assert key["accessToken"] == f"key-of-{owner}" and key["scopes"] == [], key
            assert "accessTokenExpiry" not in key and not key["hasRefreshToken"], key
            # One that is just refreshed is not refreshed again, whoever asks for it.
            ask("advance", seconds=60)
            forced = {"forceRefresh": True, "withRefreshToken": True}
            newer = (await sdk.ok("refreshed", name, *demo, options=forced))["token"]
            assert newer["accessToken"] != token["accessToken"], newer
            assert newer["refreshToken"] and ask("is_live", token=newer["accessToken"]), newer
            await sdk.refused("400", (400, "E011002"), name, *fetch(name, "demo", ""))
            await sdk.refused("400", (400, "E011003"), name, *fetch(name, "a/b", owner))
            nobody = fetch(name, "demo", "nobody")
            await sdk.refused("404 nothing stored", NO_TOKEN, name, *nobody)
            await sdk.refused("404 no app", (404, "S000404"), name, *fetch(name, "none", owner))

    async def jwts(self):
        """A JWT of a configured issuer, of `u1` in `t1`: by token as agents have one."""
        for name, owner in FETCHES.items():
            same = (await self.sdk.ok(None, name, *fetch(name, "demo", owner)))["token"]
            got = await self.jwt.ok("with a JWT", name, *fetch(name, "demo", owner))
            assert got["token"] == same, (got, same)
            others = fetch(name, "demo", "ada")
            await self.jwt.refused("403 with another's JWT", (403, "S000403"), name, *others)

    async def trouble(self):
        """Grants that are gone, and a provider that is down: both when a refresh is due."""
        ask("revoke", user="gone")
        ask("advance", seconds=7200)
        for sdk in [self.sdk, self.by_token]:
            for name in FETCHES:
                dead = fetch(name, "demo", "gone")
                told = await sdk.refused("404 dead connection", NO_TOKEN, name, *dead)
                assert "connect again" in told, told
        ask("down")
        down = (502, "S000502")
        for sdk in [self.sdk, self.by_token]:
            for name in FETCHES:
                await sdk.refused("502", down, name, *fetch(name, "demo", "stale"))
        for upload in ["upload_user_token", "upload_tenant_token"]:
            tried = {"refresh_token": "any", "verify_refresh": True}
            await self.sdk.refused("502", down, upload, "demo", "x", **tried)
        ask("up")
        ask("advance", seconds=7200)
        for name in FETCHES:
            await self.sdk.ok(None, name, *fetch(name, "demo", "stale"))

    async def lists_and_deletions(self):
        sdk, listed = self.sdk, "list_apps_with_user_token"
        said = await sdk.ok("of a user", listed, "u1")
        assert said == {"appIds": ["demo", "weather"]}, said
        said = await sdk.ok("of a user in a tenant", listed, "member", "t1")
        assert said == {"appIds": ["demo"]}, said
        assert await sdk.ok(None, listed, "gone") == {"appIds": []}
        bad = (400, "E011002")
        await sdk.refused("400", bad, listed, "")
        await sdk.refused("400", bad, "delete_token", "")
        await sdk.refused("400", bad, "delete_user_tokens")
        await sdk.ok("by both", "delete_user_tokens", "demo", "u1")
        assert await sdk.ok(None, listed, "u1") == {"appIds": ["weather"]}
        await sdk.ok("of a user", "delete_user_tokens", user_id="u1")
        assert await sdk.ok(None, listed, "u1") == {"appIds": []}
        for app, what in [("demo", "an OAuth token"), ("weather", "an API key")]:
            token = (await sdk.ok(None, "fetch_tenant_token", app, "t1"))["token"]
            assert await sdk.ok(what, "delete_token", token["id"]) is None
            await sdk.refused("404", NO_TOKEN, "delete_token", token["id"])
            gone = ("fetch_tenant_token", app, "t1")
            await sdk.refused("404 nothing stored", NO_TOKEN, *gone)
        await sdk.ok("of an app", "delete_user_tokens", app_id="demo")
        gone = ("fetch_token", "demo", "ada")
        await sdk.refused("404 nothing stored", NO_TOKEN, *gone)
        assert ask("revocations") > 0, "what is deleted is revoked at the provider"

    def usual(self):
        """A call of every function, for where its arguments are not what matters."""
        item = {"appId": "demo", "accessToken": "a"}
        calls = {name: (fetch(name, "demo", owner), {}) for name, owner in FETCHES.items()}
        return {
            **calls,
            "create_application": ((), self.oauth(id="another")),
            "update_application": ((), self.oauth(id="demo")),
            "delete_application": (("weather",), {}),
            "load_application": (("demo",), {}),
            "load_all_applications": ((), {}),
            "delete_user_tokens": (("demo", "u1"), {}),
            "delete_token": (("tok_" + "0" * 32,), {}),
            "list_apps_with_user_token": (("u1",), {}),
            "upload_user_api_key": (("weather", "u1", "k"), {}),
            "upload_tenant_api_key": (("weather", "t1", "k"), {}),
            "upload_user_token": (("demo", "u1"), {"access_token": "a"}),
            "upload_tenant_token": (("demo", "t1"), {"access_token": "a"}),
            "batch_upload_user_tokens": (([{**item, "userId": "u1"}],), {}),
            "batch_upload_tenant_tokens": (([{**item, "tenantId": "t1"}],), {}),
        }

    async def keys_that_may_not(self):
        for name, (args, kwargs) in self.usual().items():
            await self.wrong.refused("401", (401, "S000401"), name, *args, **kwargs)
            if not name.startswith("batch_"):
                await self.bare.refused("403", (403, "S000403"), name, *args, **kwargs)
                continue
            # Refused item by item, as a batch is.
            said = await self.bare.ok("403", name, *args, **kwargs)
            assert [one["errorCode"] for one in said["failures"]] == ["E152110"], said
        for name, owner in FETCHES.items():
            args = fetch(name, "demo", owner)
            await self.wrong_token.refused("401", (401, "S000401"), name, *args)
            await self.bare_token.refused("403", (403, "S000403"), name, *args)

    async def locked(self):
        ask("lock")
        for name, (args, kwargs) in self.usual().items():
            await self.sdk.later(name, *args, **kwargs)
        for name, owner in FETCHES.items():
            await self.by_token.later(name, *fetch(name, "demo", owner))


async def main():
    run = Run(sys.argv[1], json.loads(sys.argv[2]))
    say({"functions": run.sdk.names() + run.by_token.names()})
    await run.made()
    await run.apps()
    await run.uploads()
    await run.fetches(run.sdk)
    await run.fetches(run.by_token)
    await run.jwts()
    await run.trouble()
    await run.lists_and_deletions()
    await run.keys_that_may_not()
    await run.locked()
    if sys.argv[1] == "async":
        await run.by_token.client.mgmt.outbound_application_by_token.aclose()
        await run.sdk.client.aclose()


asyncio.run(main())
