// A page with npm `@descope/web-js-sdk`, which is not ours and not changed, in a headless Chromium,
// against a Strongroom on another origin. It says where the page is, is told who is who, and says
// what it checked.
//
// Use:     node web.mjs '{"node_modules":"…","chromium":"…"}'

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const { node_modules: packages, chromium: executablePath } = JSON.parse(process.argv[2]);
const require = createRequire(join(packages, 'beside.js'));
const { chromium } = require('playwright-core');
const sdkFile = join(packages, '@descope/web-js-sdk/dist/index.umd.js');

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const checked = (what) => say({ checked: what });

// A site: a page with the SDK, and the place that people come back to.
async function site() {
  const files = {
    '/': ['text/html', '<!doctype html><title>App</title><script src="/sdk.js"></script>'],
    '/sdk.js': ['text/javascript', readFileSync(sdkFile)],
    '/done': ['text/html', '<!doctype html><title>Done</title><h1>Welcome back</h1>'],
  };
  const server = createServer((request, answer) => {
    const [kind, body] = files[request.url.split('?')[0]] ?? ['text/plain', ''];
    answer.writeHead(200, { 'content-type': `${kind}; charset=utf-8` }).end(body);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

const own = await site();
const foreign = await site();
say({ origin: own.origin });
const input = createInterface({ input: process.stdin });
const { value: line } = await input[Symbol.asyncIterator]().next();
const settings = JSON.parse(line);

const browser = await chromium.launch({
  executablePath,
  // What a browser asks by itself leads nowhere here, and root may not have a sandbox.
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
  ],
});

// A browser of its own, with the page in it.
async function person(origin = own.origin) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(origin);
  return { context, page };
}

// What the page's own script gets from `outbound.connect`.
function connect(page, app, options, token) {
  const { url: baseUrl, project: projectId } = settings;
  return page.evaluate(
    async ([more, ...args]) => {
      try {
        const { ok, code, data, error } = await window.Descope(more).outbound.connect(...args);
        return { ok, code, data, error };
      } catch (thrown) {
        return { thrown: String(thrown) };
      }
    },
    [{ baseUrl, projectId }, app, options, token],
  );
}

// As the SDK asks for what it has no function of.
function get(page, path, token) {
  const { url: baseUrl, project: projectId } = settings;
  return page.evaluate(
    async ([more, ...args]) => {
      try {
        const [where, bearer] = args;
        const answer = await window.Descope(more).httpClient.get(where, { token: bearer });
        return { status: answer.status, said: await answer.json() };
      } catch (thrown) {
        return { thrown: String(thrown) };
      }
    },
    [{ baseUrl, projectId }, path, token],
  );
}

const options = { redirectUrl: `${own.origin}/done`, scopes: ['calendar.read'] };

// To the link, through the provider's pages, and back.
async function walk(page, url) {
  // As a page does it with what `outbound.connect` answers.
  await page.evaluate((place) => { window.location.href = place; }, url);
  await page.waitForURL(`${settings.url}/connect/*`);
  await page.click('form[action$="/go"] button');
  await page.fill('input[name="user"]', 'ada');
  await page.fill('input[name="password"]', 'engine');
  await page.click('form[action^="/login"] button');
  await page.click('form[action^="/consent"] button[value="allow"]');
  await page.waitForURL(options.redirectUrl);
  assert.equal(await page.textContent('h1'), 'Welcome back');
}

// A person whose page holds their token.
async function withToken() {
  const { context, page } = await person();
  const { ok, data, ...rest } = await connect(page, 'demo', options, settings.jwt);
  assert.ok(ok, JSON.stringify(rest));
  assert.deepEqual(Object.keys(data), ['url']);
  const [{ name, value, httpOnly, sameSite }] = await context.cookies(settings.url);
  assert.ok(name.startsWith('sr_') && value.length === 43 && httpOnly, name);
  assert.equal(sameSite, 'Lax');
  assert.equal(await page.evaluate(() => document.cookie), '', 'no script sees it');

  const stranger = await person();
  const nowhere = await stranger.page.goto(data.url);
  assert.equal(nowhere.status(), 404);
  assert.ok((await stranger.page.textContent('body')).includes('another browser'));
  checked('a link in another browser leads nowhere');

  await walk(page, data.url);
  checked('connected by a token');
  const path = `/v1/mgmt/outbound/apps-with-user-token?userId=${settings.user}`;
  await page.goto(own.origin);
  const { said, thrown } = await get(page, path, settings.jwt);
  assert.deepEqual(said ?? thrown, { appIds: ['demo'] });
  checked('connected apps');
}

// A person whose session is in a cookie, which no script of the page sees.
async function withCookie() {
  const { context, page } = await person();
  const cookie = { name: 'DSR', value: settings.cookie_jwt, url: settings.url, httpOnly: true };
  await context.addCookies([cookie]);
  const { ok, data, ...rest } = await connect(page, 'demo', options);
  assert.ok(ok, JSON.stringify(rest));
  await walk(page, data.url);
  checked('connected by a session in a cookie');
}

// What a page is told when it does not work.
async function refusals() {
  const { page } = await person();
  for (const [what, wanted, args] of [
    ['400', [400, 'E011003'], ['demo', { redirectUrl: 'https://evil.example/' }, settings.jwt]],
    ['401', [401, 'S000401'], ['demo', options, 'a.b.c']],
    ['401 without a session', [401, 'S000401'], ['demo', options]],
    ['403', [403, 'S000403'], ['demo', { ...options, tenantId: 'other' }, settings.jwt]],
    ['404', [404, 'S000404'], ['none', options, settings.jwt]],
  ]) {
    const answer = await connect(page, ...args);
    const shown = JSON.stringify(answer);
    assert.ok(!answer.ok && answer.error, shown);
    assert.deepEqual([answer.code, answer.error.errorCode], wanted, shown);
    checked(what);
  }
  const apps = await get(page, '/v1/mgmt/outbound/apps', settings.jwt);
  assert.equal(apps.status, 200, JSON.stringify(apps));
  assert.deepEqual(apps.said.apps.map((app) => app.id), ['demo']);
  checked('apps');
}

// The browser keeps from a page what is not for it.
async function closed() {
  const { page } = await person();
  for (const path of ['/v1/apps', '/v1/status', '/v1/mgmt/license']) {
    const answer = await get(page, path, settings.jwt);
    assert.ok(answer.thrown?.includes('Failed to fetch'), `${path}: ${JSON.stringify(answer)}`);
  }
  checked('other routes are closed');
  const other = await person(foreign.origin);
  const cookie = { name: 'DSR', value: settings.cookie_jwt, url: settings.url };
  await other.context.addCookies([cookie]);
  for (const token of [settings.jwt, undefined]) {
    const answer = await connect(other.page, 'demo', options, token);
    assert.ok(answer.thrown?.includes('Failed to fetch'), JSON.stringify(answer));
  }
  checked('another origin is shut out');
}

await withToken();
await withCookie();
await refusals();
await closed();
await browser.close();
own.server.close();
foreign.server.close();
input.close();
