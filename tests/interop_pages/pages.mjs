// Every page that a person meets while connecting, in a headless Chromium: walked, judged by
// axe-core in both colour schemes and both widths, and watched for what it must keep to itself.
//
// Use:     node pages.mjs '{"node_modules":"…","chromium":"…"}'

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { join } from 'node:path';

import { caller, checked, say, told } from './talk.mjs';
import { press, watch } from './watch.mjs';

const given = JSON.parse(process.argv[2]);

// The asking application: pages of another origin, one of which opens a pop-up.
const OPENER = `<!doctype html><title>App</title><button>Connect</button><script>
  const heard = [];
  addEventListener('message', ({ origin, data }) => heard.push({ origin, data }));
  document.querySelector('button').onclick = () => window.open(location.hash.slice(1), 'connect');
</script>`;
const seen = [];
async function site() {
  const server = createServer((request, answer) => {
    seen.push({ url: request.url, referer: request.headers.referer });
    const body = request.url.startsWith('/opener') ? OPENER : '<!doctype html><h1>Welcome back</h1>';
    answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(body);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { server, origin: `http://127.0.0.1:${server.address().port}` };
}

const own = await site();
const foreign = await site();
say({ origin: own.origin });
const settings = await told();
const hosts = [settings.url, settings.sandbox, own.origin, foreign.origin];
const { browser, person, judge, strangers, complaints } = await watch(given, settings, hosts);

// A judge that finds nothing wrong anywhere proves nothing.
{
  const { context, page } = await person();
  await page.setContent('<html lang="en"><title>Bad</title><main><h1>Bad</h1><input></main>');
  await assert.rejects(judge(page, 'a page with an input of no name'), /label: <input/);
  await context.close();
}

const call = caller(settings);

const link = (user, apps, more = {}) =>
  call('POST', '/v1/connect', { user, apps: apps.map((app) => ({ app })), verify: 'none', ...more });
const state = ({ id }) => call('GET', `/v1/connect/${id}`);

async function open(page, { url }) {
  await page.goto(url);
  await page.click('form[action^="/c/"] button');
  await page.waitForURL(/\/connect\//);
}


// Signs in at the sandbox where it asks, and answers its question.
async function consent(page, decision = 'allow', scopes) {
  await page.waitForURL((url) => url.origin === settings.sandbox);
  const form = page.locator('form[action^="/login"], form[action^="/consent"]');
  if ((await form.getAttribute('action')).startsWith('/login')) {
    await page.fill('input[name="user"]', 'ada');
    await page.fill('input[name="password"]', 'engine');
    await page.click('form[action^="/login"] button');
  }
  if (scopes) {
    for (const box of await page.locator('input[name="scope"]').all()) {
      await box.setChecked(scopes.includes(await box.getAttribute('value')));
    }
  }
  await page.click(`form[action^="/consent"] button[value="${decision}"]`);
  await page.waitForURL((url) => url.origin !== settings.sandbox);
}

// ---- the way through -------------------------------------------------------------------------

const all = ['demo', 'weather', 'notes'];
const first = await link('ann', all, {
  verify: 'code', return_url: `${own.origin}/done`, reason: 'To plan the trip to Lisbon in May',
});
const ann = await person();
{
  const { page } = ann;
  await page.goto(first.url);
  await judge(page, 'invitation');
  await press(page, first.url.split('/').pop());
  await judge(page, 'code');
  await page.fill('#code', first.code === '000000' ? '000001' : '000000');
  await page.keyboard.press('Enter');
  await page.waitForSelector('[role="alert"]');
  await judge(page, 'code-wrong');
  await page.fill('#code', first.code);
  await press(page, '/code');
  await page.waitForSelector('section');
  assert.equal((await state(first)).status, 'visited');
  checked('a code proves who is there');

  await judge(page, 'apps');
  await press(page, '/demo/go');
  await consent(page);
  await page.waitForSelector('text=1 of 3 connected');
  await judge(page, 'one-connected');

  const weather = page.locator('section', { hasText: 'Weather Station' });
  const key = weather.getByLabel('Key');
  assert.equal(await key.getAttribute('type'), 'password');
  await weather.getByLabel('E-mail').fill('ann@example.com');
  await key.fill('wx_not_a_key_at_all');
  await press(page, '/weather/key');
  await page.waitForSelector('text=does not accept this key');
  await judge(page, 'key-refused');
  const described = await key.getAttribute('aria-describedby');
  assert.ok(described.split(' ').includes('wrong-weather'), described);
  assert.equal(await key.inputValue(), '', 'it is not shown again');
  await weather.getByLabel('E-mail').fill('ann@example.com');
  await key.fill(settings.weather_key);
  await press(page, '/weather/key');
  await page.waitForSelector('text=The key ends in');
  await judge(page, 'key-stored');
  await page.fill('section:has-text("Notes") input[type="password"]', 'notes-key-1234567890');
  await press(page, '/notes/key');
  await page.waitForURL(`${own.origin}/done`);
  const { status, apps } = await state(first);
  assert.deepEqual([status, ...apps.map((app) => app.state)],
    ['finished', 'connected', 'connected', 'connected']);
  checked('several apps, by OAuth and by key, to the return URL');

  // Tokens, keys, codes and states: in no place of history, no referrer, no page.
  const { access_token: token } = await call('POST', '/v1/token', { app: 'demo', user: 'ann' });
  assert.ok(token);
  const secrets = [token, settings.weather_key, 'notes-key-1234567890', first.code, settings.key];
  const devtools = await ann.context.newCDPSession(page);
  const { entries } = await devtools.send('Page.getNavigationHistory');
  for (const { url } of entries) {
    for (const secret of secrets) assert.ok(!url.includes(secret), url);
    const asked = new URL(url);
    if (asked.origin === settings.url) assert.equal(asked.search, '', url);
  }
  assert.deepEqual(seen.filter(({ referer }) => referer?.startsWith(settings.url)), [],
    'nobody is told where it came from');
  await page.goBack();
  for (const secret of secrets) {
    assert.ok(!(await page.content()).includes(secret), page.url());
  }
  checked('nothing is left behind');
}

{
  const { page } = await person();
  const coded = await link('ann', all, { verify: 'code' });
  await open(page, coded);
  await page.fill('input[name="code"]', coded.code);
  await page.click('form[action$="/code"] button');
  await page.waitForSelector('text=Connected already as');
  await judge(page, 'connected-before');
  checked('what is connected already');
}

{
  const { page } = await person();
  const declined = await link('bob', ['demo', 'notes']);
  await open(page, declined);
  await press(page, '/demo/go');
  await consent(page, 'deny');
  await page.waitForSelector('text=You declined this');
  await judge(page, 'declined');
  await press(page, '/notes/decline');
  await page.waitForSelector('text=You can close this page');
  await judge(page, 'done-declined');
  const { status, apps } = await state(declined);
  assert.deepEqual([status, ...apps.map((app) => app.state)], ['finished', 'declined', 'declined']);
  checked('refused at the provider, and not now');
}

{
  const { page } = await person();
  const partial = await link('cleo', ['demo', 'notes']);
  await open(page, partial);
  await press(page, '/demo/go');
  await consent(page, 'allow', ['calendar.read']);
  await page.waitForSelector('text=Not all of it was granted');
  await judge(page, 'partial');
  assert.deepEqual((await state(partial)).apps[0].missing_scopes, ['mail.send']);
  await press(page, '/notes/decline');
  await page.waitForSelector('text=To grant the rest after all');
  await judge(page, 'done-partial');
  checked('partial consent');
}

{
  const { page } = await person();
  await open(page, await link('dan', ['demo']));
  await press(page, '/demo/go');
  await page.waitForURL((url) => url.origin === settings.sandbox);
  // As a provider in trouble sends people back.
  const back = new URL(`${settings.url}/callback/demo`);
  const asked = new URL(page.url()).searchParams;
  back.searchParams.set('state', asked.get('state'));
  back.searchParams.set('iss', settings.sandbox);
  back.searchParams.set('error', 'temporarily_unavailable');
  back.searchParams.set('error_description', 'Down for an hour <script>alert(1)</script>');
  await page.goto(back.href);
  await page.waitForSelector('text=has trouble at the moment');
  await judge(page, 'failed');
  checked('the provider fails');
}

{
  const { page } = await person();
  const cancelled = await link('eve', ['demo', 'notes']);
  await open(page, cancelled);
  await press(page, '/cancel');
  await page.waitForSelector('h1:has-text("Cancelled")');
  await judge(page, 'cancelled');
  assert.equal((await state(cancelled)).status, 'cancelled');
  checked('cancelled');
}

{
  const { page } = await person();
  const late = await link('fay', ['demo'], { expires_in_s: 60 });
  await open(page, late);
  say({ advance: 61 });
  await told();
  await press(page, '/demo/go');
  await page.waitForSelector('text=has expired');
  await judge(page, 'expired');
  checked('expired');
}

{
  const opened = await link('gus', ['demo']);
  await open((await person()).page, opened);
  const { page } = await person();
  const answer = await page.goto(opened.url);
  assert.equal(answer.status(), 404);
  await page.waitForSelector('text=another browser');
  await judge(page, 'another-browser');
  checked('another browser');
}

{
  const { page } = await person();
  const vouched = await link('hal', ['demo'], { verify: 'vouch' });
  await open(page, vouched);
  await judge(page, 'vouch');
  await press(page, '/vouch');
  await page.waitForURL(`${own.origin}/verify?**`);
  const ticket = new URL(page.url()).searchParams.get('ticket');
  const { return_to: back } = await call('POST', `/v1/connect/${vouched.id}/vouch`,
    { ticket, user: 'somebody else' });
  await page.goto(back ?? `${settings.url}/connect/${vouched.id}`);
  await page.waitForSelector('text=for somebody else');
  await judge(page, 'somebody-else');
  assert.equal((await state(vouched)).status, 'wrong_person');
  checked('for somebody else');
}

{
  const { page } = await person({ javaScriptEnabled: false });
  const plain = await link('ida', ['notes', 'demo'], { opener_origin: own.origin });
  await open(page, plain);
  await page.fill('input[type="password"]', 'notes-key-1234567890');
  await press(page, '/notes/key');
  await page.waitForSelector('text=1 of 2 connected');
  await press(page, '/demo/go');
  await consent(page);
  await page.waitForSelector('text=You can close this page');
  assert.equal((await state(plain)).status, 'finished');
  checked('with scripts off');
}

{
  const { page } = await person();
  const keyed = await link('jon', ['notes']);
  await page.goto(keyed.url);
  // Skip link, then the one thing to press.
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content');
  await page.keyboard.press('Tab');
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, 'solid', 'what has the focus is seen');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/connect\//);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.type('notes-key-1234567890');
  await page.keyboard.press('Enter');
  await page.waitForSelector('text=You can close this page');
  await judge(page, 'done');
  assert.equal((await state(keyed)).status, 'finished');
  checked('by keyboard');
}

// The picture of README: one connected, one that asks, one that wants a key.
if (settings.pictures) {
  const { page } = await person({ colorScheme: 'light', viewport: { width: 640, height: 400 } });
  const reason = 'To plan the trip to Lisbon in May';
  await open(page, await link('ann@example.com', ['weather', 'demo', 'notes'], { reason }));
  await page.getByLabel('E-mail').fill('ann@example.com');
  await page.locator('section', { hasText: 'Weather Station' }).getByLabel('Key')
    .fill(settings.weather_key);
  await press(page, '/weather/key');
  await page.waitForSelector('text=The key ends in');
  await page.screenshot({ path: join(settings.pictures, 'connect.png'), fullPage: true });
}

// ---- pop-ups ---------------------------------------------------------------------------------

// Opens a link as a pop-up of `origin`, connects, and says what that page heard.
async function popUp(user, origin) {
  const { page } = await person();
  const asked = await link(user, ['demo'], { opener_origin: own.origin });
  await page.goto(`${origin}/opener#${asked.url}`);
  const [popup] = await Promise.all([page.waitForEvent('popup'), page.click('button')]);
  const closed = popup.waitForEvent('close');
  await popup.click('form[action^="/c/"] button');
  await press(popup, '/demo/go');
  await consent(popup).catch((error) => { if (!popup.isClosed()) throw error; });
  await closed;
  assert.equal((await state(asked)).status, 'finished');
  return { asked, heard: await page.evaluate(() => heard) };
}

{
  const { asked, heard } = await popUp('kim', own.origin);
  const apps = [{ app: 'demo', state: 'connected' }];
  const data = { type: 'strongroom:connect', id: asked.id, status: 'finished', apps };
  assert.deepEqual(heard, [{ origin: settings.url, data }]);
  checked('a pop-up tells its opener');
}
{
  const before = complaints.length;
  const { heard } = await popUp('lea', foreign.origin);
  assert.deepEqual(heard, []);
  complaints.length = before;
  checked('a pop-up of another origin is not told');
}

assert.deepEqual(strangers, [], 'no other host was asked');
const policy = complaints.filter((line) => !line.includes('404'));
assert.deepEqual(policy, [], 'no page broke its own policy');
await browser.close();
own.server.close();
foreign.server.close();
process.exit(0);
