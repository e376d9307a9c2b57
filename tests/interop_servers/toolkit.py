"""Starts PyPI `django-oauth-toolkit` under Django on 127.0.0.1, for the suite `interop_servers`.

Use:     python toolkit.py '{"redirect_uris":["…"]}'
Says:    one line of JSON on standard output when it listens: {"issuer", "server_url",
         "clients": {"basic": {"client_id", "client_secret"}, "post": {…}}}. Nothing else.
Ends:    when standard input is closed, so that it never outlives who started it.
Is set:  as the packages are by default, but for tokens of ten minutes, open registration and plain
         http. Login is the admin's page, consent the toolkit's; both are forms with a CSRF token.
         Refresh tokens rotate, and an old one is refused without an end to the new one. Ids and
         secrets are form-encoded in Basic. Everything lives in memory.
Person:  ada, password engine.
"""

import json
import logging
import os
import sys
import threading
import warnings
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import django
from django.conf import settings
from jwcrypto import jwk

SCOPES = {"openid": "Who you are", "read": "Read", "write": "Write"}
BUILT_IN = ("admin", "auth", "contenttypes", "messages", "sessions")


def configure(origin):
    # Every refusal is a warning, and refusals are what this is for.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    key = jwk.JWK.generate(kty="RSA", size=2048)
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            *(f"django.contrib.{name}" for name in BUILT_IN),
            "oauth2_provider",
        ],
        LOGGING_CONFIG=None,
        LOGIN_URL="/admin/login/",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        OAUTH2_PROVIDER={
            "ACCESS_TOKEN_EXPIRE_SECONDS": 600,
            "ALLOWED_SCHEMES": ["http"],
            "DCR_ENABLED": True,
            "DCR_REGISTRATION_PERMISSION_CLASSES": ("oauth2_provider.dcr.AllowAllDCRPermission",),
            "DEFAULT_SCOPES": ["read"],
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": key.export_to_pem(private_key=True, password=None).decode(),
            "SCOPES": SCOPES,
        },
        # A slow hash of a password is of no use here.
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="in memory, for one run",
        STATIC_URL="static/",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        USE_TZ=True,
    )
    django.setup()


def routes():
    from django.contrib import admin
    from django.http import HttpResponse, JsonResponse
    from django.urls import include, path
    from django.views.decorators.csrf import csrf_exempt
    from oauth2_provider.oauth2_backends import get_oauthlib_core
    from oauth2_provider.www_authenticate import build_bearer_challenge

    @csrf_exempt
    def resource(request):
        """What the tokens are for: tells whose they are."""
        valid, asked = get_oauthlib_core().verify_request(request, scopes=["read"])
        if valid:
            scopes = sorted(asked.access_token.scope.split())
            return JsonResponse({"person": asked.user.username, "scopes": scopes})
        refused = HttpResponse(status=401)
        place = request.build_absolute_uri("/.well-known/oauth-protected-resource/resource")
        challenge = build_bearer_challenge(request, resource_metadata_url=place)
        # A client that registers itself is set up for no algorithm, and so for no `openid`.
        refused["WWW-Authenticate"] = challenge + ', scope="read"'
        return refused

    return [
        path("admin/", admin.site.urls),
        path("resource", resource),
        path("", include("oauth2_provider.urls", namespace="oauth2_provider")),
    ]


def fill(redirect_uris):
    """The tables, a person and two clients."""
    from django.contrib.auth import get_user_model
    from django.core.management import call_command
    from oauth2_provider.models import get_application_model

    call_command("migrate", verbosity=0, run_syncdb=True)
    get_user_model().objects.create_superuser("ada", "ada@example.com", "engine")
    clients = {}
    for method in ("basic", "post"):
        # Characters that tell a form-encoded secret from a plain one (RFC 6749 2.3.1).
        client = {"client_id": f"strong room/{method}", "client_secret": f"s/e+c:r et% {method}"}
        get_application_model().objects.create(
            name=method,
            client_type="confidential",
            authorization_grant_type="authorization-code",
            redirect_uris=" ".join(redirect_uris),
            algorithm="RS256",
            **client,
        )
        clients[method] = client
    return clients


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


# One thread answers, for a database in memory is its connection's alone.
server = WSGIServer(("127.0.0.1", 0), Quiet)
origin = f"http://127.0.0.1:{server.server_port}"
configure(origin)
urlpatterns = routes()
ready = {
    "issuer": origin,
    "server_url": f"{origin}/resource",
    "clients": fill(json.loads(sys.argv[1])["redirect_uris"]),
}
from django.core.wsgi import get_wsgi_application  # noqa: E402 (only once it is set up)

server.set_app(get_wsgi_application())
threading.Thread(target=end_with_parent, daemon=True).start()
print(json.dumps(ready), flush=True)
server.serve_forever()
