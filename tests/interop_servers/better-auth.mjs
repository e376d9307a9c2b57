// Starts npm `better-auth` with its OAuth provider on 127.0.0.1, for the suite `interop_servers`.
//
// Use:     node better-auth.mjs NODE_MODULES '{"redirect_uris":["…"]}'
// Says:    one line of JSON on standard output when it listens: {"issuer","server_url","clients":
//          {"basic":{"client_id","client_secret"},"post":{…}}}. Nothing else.
// Ends:    when standard input is closed, so that it never outlives who started it.
// Is set:  as the packages are by default, but for tokens of ten minutes, open registration and a
//          resource of its own. The issuer has a path. Its API is JSON throughout; the pages of
//          login and consent are always the operator's: here two forms, whose answers are put to
//          the API. A client proves itself by the one way it was registered with. Refresh tokens
//          come with `offline_access` alone, rotate, and an old one takes the grant with it.
//          Everything lives in memory.
// Person:  ada@example.com, password "engine of ada".

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const packages = createRequire(join(process.argv[2], '..', 'anchor.js'));
const load = (name) => import(pathToFileURL(packages.resolve(name)).href);
const { betterAuth } = await load('better-auth');
const { memoryAdapter } = await load('better-auth/adapters/memory');
const { jwt } = await load('better-auth/plugins');
const { oauthProvider } = await load('@better-auth/oauth-provider');

const { redirect_uris: redirectUris } = JSON.parse(process.argv[3]);
const PERSON = { name: 'Ada', email: 'ada@example.com', password: 'engine of ada' };
const SCOPES = ['openid', 'email', 'offline_access', 'notes:read'];

const http = createServer();
await new Promise((done) => http.listen(0, '127.0.0.1', done));
const origin = `http://127.0.0.1:${http.address().port}`;
const issuer = `${origin}/api/auth`;
const serverUrl = `${origin}/notes`;

const tables = ['user', 'session', 'account', 'verification', 'jwks', 'oauthClient',
  'oauthRefreshToken', 'oauthAccessToken', 'oauthConsent', 'oauthResource', 'oauthClientResource',
  'oauthClientAssertion'];
const auth = betterAuth({
  baseURL: origin,
  database: memoryAdapter(Object.fromEntries(tables.map((table) => [table, []]))),
  emailAndPassword: { enabled: true },
  logger: { disabled: true },
  plugins: [
    jwt(),
    oauthProvider({
      accessTokenExpiresIn: 600,
      allowDynamicClientRegistration: true,
      allowUnauthenticatedClientRegistration: true,
      clientRegistrationDefaultResources: [serverUrl],
      consentPage: '/consent',
      // Characters that tell a form-encoded secret from a plain one (RFC 6749 2.3.1).
      generateClientSecret: () => `s/e+c:r et% ${crypto.randomUUID()}`,
      loginPage: '/login',
      resources: [serverUrl],
      scopes: SCOPES,
    }),
  ],
  rateLimit: { enabled: false },
  secret: 'in memory, for one run, and long enough',
  telemetry: { enabled: false },
});

/** Puts JSON to the API as a page's script would, with the browser's cookies. */
function put(path, body, cookie) {
  const headers = { 'content-type': 'application/json', origin, cookie: cookie ?? '' };
  const request = { method: 'POST', headers, body: JSON.stringify(body) };
  return auth.handler(new Request(`${issuer}${path}`, request));
}

async function client(method) {
  const body = {
    client_name: method,
    redirect_uris: redirectUris,
    token_endpoint_auth_method: `client_secret_${method}`,
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  };
  const answer = await put('/oauth2/register', body);
  if (!answer.ok) throw new Error(await answer.text());
  const { client_id, client_secret } = await answer.json();
  return { client_id, client_secret };
}

const form = (inputs) => `<form method="post" action="">${inputs}<button>Send</button></form>`;
const PAGES = {
  '/login': form('<input name="user"><input name="password" type="password">'),
  '/consent': form('<button name="accept" value="yes">Yes</button>'),
};

/** What a person sends by a form, put to the API; the browser goes where the API says. */
async function page(request, url) {
  if (request.method === 'GET') {
    return new Response(PAGES[url.pathname], { headers: { 'content-type': 'text/html' } });
  }
  const fields = await request.formData();
  const query = { oauth_query: url.search.slice(1) };
  const cookie = request.headers.get('cookie');
  const answer = url.pathname === '/login'
    ? await put('/sign-in/email',
      { email: fields.get('user'), password: fields.get('password'), ...query }, cookie)
    : await put('/oauth2/consent', { accept: fields.get('accept') === 'yes', ...query }, cookie);
  const said = await answer.json();
  if (!said.url) return Response.json(said, { status: answer.status });
  const headers = new Headers({ location: said.url });
  for (const set of answer.headers.getSetCookie()) headers.append('set-cookie', set);
  return new Response(null, { status: 303, headers });
}

/** What the tokens are for: tells whose they are, if the server's own userinfo knows them. */
async function notes(request) {
  const authorization = request.headers.get('authorization');
  const known = authorization && await auth.handler(
    new Request(`${issuer}/oauth2/userinfo`, { headers: { authorization } }));
  if (known?.ok) return Response.json({ person: (await known.json()).email });
  const place = `${origin}/.well-known/oauth-protected-resource/notes`;
  const headers = { 'www-authenticate': `Bearer resource_metadata="${place}"` };
  return new Response(null, { status: 401, headers });
}

function answer(request) {
  const url = new URL(request.url);
  if (url.pathname in PAGES) return page(request, url);
  if (url.pathname === '/notes') return notes(request);
  if (url.pathname === '/.well-known/oauth-protected-resource/notes') {
    return Response.json({
      resource: serverUrl, authorization_servers: [issuer], scopes_supported: ['openid', 'email'],
    });
  }
  return auth.handler(request);
}

http.on('request', async (asked, answered) => {
  const chunks = [];
  for await (const chunk of asked) chunks.push(chunk);
  const body = chunks.length ? Buffer.concat(chunks) : undefined;
  const request = new Request(`${origin}${asked.url}`,
    { method: asked.method, headers: asked.headers, body });
  const response = await answer(request);
  for (const [name, value] of response.headers) {
    if (name !== 'set-cookie') answered.setHeader(name, value);
  }
  answered.setHeader('set-cookie', response.headers.getSetCookie());
  answered.writeHead(response.status);
  answered.end(Buffer.from(await response.arrayBuffer()));
});

const signedUp = await put('/sign-up/email', PERSON);
if (!signedUp.ok) throw new Error(await signedUp.text());
const clients = { basic: await client('basic'), post: await client('post') };
process.stdout.write(`${JSON.stringify({ issuer, server_url: serverUrl, clients })}\n`);

const end = () => process.exit(0);
process.stdin.on('end', end).on('error', end).resume();
