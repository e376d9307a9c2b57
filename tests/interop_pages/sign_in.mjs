// A sign-in server (npm `oidc-provider`) that sends its user through a connect link as a step of
// the sign-in, and goes on when the user is back: "log in, connect, carry on".
//
// Use:     node sign_in.mjs '{"node_modules":"…","chromium":"…"}'

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { caller, checked, say, told } from './talk.mjs';

console.info = () => {};
console.warn = () => {};
const { node_modules: packages, chromium: executablePath } = JSON.parse(process.argv[2]);
const require = createRequire(join(packages, 'beside.js'));
const { chromium } = require('playwright-core');
const { Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);


const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const origin = `http://127.0.0.1:${server.address().port}`;
say({ origin });
const settings = await told();

const strongroom = caller(settings);

// ---- the sign-in server ----------------------------------------------------------------------

const provider = new Provider(origin, {
  clients: [{
    client_id: 'mcp', client_secret: 'secret', redirect_uris: [`${origin}/client`],
    application_type: 'native', token_endpoint_auth_method: 'client_secret_post',
  }],
  cookies: { keys: ['in memory, for one run'] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
  ttl: { Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
});
provider.on('server_error', (_ctx, error) => console.error(error));

// Sign-ins under way: who it is, and the link they were sent to. By a cookie of this server.
const steps = new Map();
const cookie = (request) => /(?:^|; )step=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
const html = (answer, text) => answer.writeHead(200, { 'content-type': 'text/html' }).end(text);
const go = (answer, location, headers) => answer.writeHead(303, { location, ...headers }).end();

async function form(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
}

// The step itself: who has just said who they are goes to Strongroom, and comes back to `/back`.
async function interaction(request, answer, uid) {
  if (request.method === 'POST') {
    const user = (await form(request)).get('user');
    const link = await strongroom('POST', '/v1/connect', {
      user, apps: [{ app: 'demo' }], verify: 'vouch', return_url: `${origin}/back`,
    });
    steps.set(uid, { user, id: link.id });
    return go(answer, link.url, { 'set-cookie': `step=${uid}; Path=/; HttpOnly; SameSite=Lax` });
  }
  const step = steps.get(uid);
  if (!step) return html(answer, '<form method="post"><input name="user"><button>Go on</button></form>');
  // Back again. What became of the link is asked for, never taken from the browser.
  const { status } = await strongroom('GET', `/v1/connect/${step.id}`);
  if (!['finished', 'cancelled'].includes(status)) return html(answer, `not done: ${status}`);
  const { params } = await provider.interactionDetails(request, answer);
  const grant = new provider.Grant({ accountId: step.user, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const result = { login: { accountId: step.user }, consent: { grantId: await grant.save() } };
  return provider.interactionFinished(request, answer, result);
}

// Strongroom asks who is here, and believes this server's own session, not the browser.
async function verify(request, answer, query) {
  const step = steps.get(cookie(request));
  const { return_to: back } = await strongroom(
    'POST', `/v1/connect/${query.get('connect_id')}/vouch`,
    { ticket: query.get('ticket'), user: step?.user ?? 'nobody' },
  );
  return go(answer, back ?? `${settings.url}/connect/${query.get('connect_id')}`);
}

const others = provider.callback();
server.on('request', (request, answer) => {
  const { pathname, searchParams } = new URL(request.url, origin);
  const [, first, uid] = pathname.split('/');
  const routes = {
    interaction: () => interaction(request, answer, uid),
    verify: () => verify(request, answer, searchParams),
    back: () => go(answer, `/interaction/${cookie(request)}`),
    client: () => html(answer, '<h1>Signed in</h1>'),
  };
  Promise.resolve((routes[first] ?? (() => others(request, answer)))()).catch((error) => {
    console.error(error);
    answer.writeHead(500).end();
  });
});

// ---- the person ------------------------------------------------------------------------------

const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});

// Begins a sign-in as an MCP client does, as far as Strongroom's page.
async function begin(user) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const verifier = randomBytes(32).toString('base64url');
  const asked = new URL(`${origin}/auth`);
  asked.search = new URLSearchParams({
    client_id: 'mcp', redirect_uri: `${origin}/client`, response_type: 'code', scope: 'openid',
    state: 'of-the-client', code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  });
  await page.goto(asked.href);
  await page.fill('input[name="user"]', user);
  await page.click('button');
  await page.waitForURL(`${settings.url}/c/*`);
  return { context, page, verifier };
}

async function prove(page) {
  await page.click('form[action^="/c/"] button');
  await page.click('form[action$="/vouch"] button');
  await page.waitForURL(`${settings.url}/connect/*`);
}

// What the client is told at the end: whose sign-in it was.
async function signedIn(page, verifier) {
  await page.waitForURL(`${origin}/client?**`);
  const query = new URL(page.url()).searchParams;
  assert.equal(query.get('state'), 'of-the-client');
  const answer = await fetch(`${origin}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code', code: query.get('code'), code_verifier: verifier,
      redirect_uri: `${origin}/client`, client_id: 'mcp', client_secret: 'secret',
    }),
  });
  const { id_token: token } = await answer.json();
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).sub;
}

{
  const { page, verifier } = await begin('ada');
  await prove(page);
  await page.click('form[action$="/go"] button');
  await page.fill('input[name="user"]', 'ada');
  await page.fill('input[name="password"]', 'engine');
  await page.click('form[action^="/login"] button');
  await page.click('form[action^="/consent"] button[value="allow"]');
  assert.equal(await signedIn(page, verifier), 'ada');
  const { outcome } = await strongroom('POST', '/v1/token', { app: 'demo', user: 'ada' });
  assert.equal(outcome, 'ok');
  checked('signed in by way of a connect link');
}
{
  const { page, verifier } = await begin('bob');
  await prove(page);
  await page.click('form[action$="/decline"] button');
  assert.equal(await signedIn(page, verifier), 'bob');
  const { outcome } = await strongroom('POST', '/v1/token', { app: 'demo', user: 'bob' });
  assert.equal(outcome, 'declined');
  checked('who declines is signed in without it');
}
{
  // Somebody else takes over the browser's sign-in between the steps.
  const { context, page } = await begin('cleo');
  const step = (await context.cookies(origin)).find(({ name }) => name === 'step');
  steps.get(step.value).user = 'mallory';
  await page.click('form[action^="/c/"] button');
  await page.click('form[action$="/vouch"] button');
  await page.waitForSelector('text=for somebody else');
  checked('who is somebody else gets nowhere');
}

await browser.close();
server.close();
process.exit(0);
