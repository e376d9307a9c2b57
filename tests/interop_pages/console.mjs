// Every screen of the operator's console, in a headless Chromium: walked, judged by axe-core in both
// colour schemes and both widths, and watched for what it must keep to itself.
//
// Use:     node console.mjs '{"node_modules":"…","chromium":"…"}'

import assert from 'node:assert/strict';
import { join } from 'node:path';

import { caller, checked, say, told } from './talk.mjs';
import { press, watch } from './watch.mjs';

const given = JSON.parse(process.argv[2]);

say({ origin: 'http://127.0.0.1:1' });
const settings = await told();
const hosts = [settings.url, settings.sandbox];
const { browser, person, judge, strangers, complaints } = await watch(given, settings, hosts);

const heading = (page, text) => page.waitForSelector(`h1:text-is("${text}")`);
const go = (page, path) => page.goto(`${settings.url}${path}`);

const call = caller(settings);

async function signIn(page, key) {
  await go(page, '/console');
  await page.fill('#key', key);
  await press(page, '/console/sign-in');
}

const operator = await person();
const { page } = operator;

await go(page, '/console');
await judge(page, 'console-sign-in');
await page.keyboard.press('Tab');
await page.keyboard.press('Tab');
await page.keyboard.type('sr_0011223344556677_not-a-key');
await page.keyboard.press('Enter');
await page.waitForSelector('text=That is no access key of this vault');
await judge(page, 'console-sign-in-wrong');
assert.equal(await page.inputValue('#key'), '', 'it is not shown again');
await signIn(page, settings.key);
await heading(page, 'Health');
checked('signing in');

// ---- health ----------------------------------------------------------------------------------

await page.waitForSelector('text=does not answer');
await page.waitForSelector('text=waits for its owner');
await judge(page, 'console-health');
if (settings.pictures) {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1180, height: 900 });
  await page.screenshot({ path: join(settings.pictures, 'console.png') });
}
{
  const { context } = operator;
  const live = await context.newPage();
  await live.clock.install();
  await go(live, '/console/health');
  await live.waitForSelector('text=Kept fresh by itself.');
  const handed = live.locator('.legend li', { hasText: 'handed out' }).locator('strong');
  const before = Number(await handed.textContent());
  assert.equal((await call('POST', '/v1/token', { app: 'demo', user: 'ada' })).outcome, 'ok');
  await live.clock.runFor(11_000);
  await live.waitForFunction(
    (count) => [...document.querySelectorAll('.legend li')].some(
      (li) => li.textContent.includes('handed out') && Number(li.querySelector('strong').textContent) === count,
    ),
    before + 1,
  );
  await live.close();
  checked('health is kept fresh without reloading');
}

// ---- tokens ----------------------------------------------------------------------------------

await page.click('nav >> text=Tokens');
await heading(page, 'Tokens');
await judge(page, 'console-tokens');
await page.fill('#user', 'ada');
await page.selectOption('#state', 'active');
await page.click('form[role="search"] button');
await page.waitForURL(/user=ada/);
assert.equal(await page.locator('tbody tr').count(), 1);
await page.click('tbody th a');
await heading(page, 'demo of ada');
await judge(page, 'console-token');
await press(page, '/refresh');
await page.waitForSelector('text=The token was refreshed.');
checked('a token is found and refreshed');

await page.click('text=Show in plain text');
await judge(page, 'console-reveal-ask');
await page.fill('#key', 'sr_0011223344556677_not-a-key');
await page.click('text=Show it');
await page.waitForSelector('text=That is not the key');
await judge(page, 'console-reveal-wrong');
await page.fill('#reason', 'ticket 12');
await page.fill('#key', settings.key);
await page.click('text=Show it');
await heading(page, 'In plain text');
const { access_token: token } = await call('POST', '/v1/token', { app: 'demo', user: 'ada' });
assert.ok((await page.content()).includes(token));
await judge(page, 'console-revealed');
// What a browser keeps whole for "back" has no secret in it.
await page.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
assert.ok(!(await page.content()).includes(token), 'a page that is left has no secret in it');
await page.click('text=Hide it now');
await heading(page, 'demo of ada');
assert.ok(!(await page.content()).includes(token), 'it is gone from the page');
await go(page, '/console/tokens?app=demo&user=ada');
await page.click('tbody th a');
await press(page, '/reconnect');
await heading(page, 'A link to send');
await judge(page, 'console-link');
await go(page, '/console/tokens?app=keyed');
await page.click('tbody th a');
await page.click('text=Delete…');
await judge(page, 'console-delete-ask');
await press(page, '/delete');
await page.waitForSelector('text=The token was deleted.');
checked('a token is shown, handed on and deleted');

// ---- apps ------------------------------------------------------------------------------------

await page.click('nav >> text=Apps');
await judge(page, 'console-apps');
await page.click('text=New app…');
await page.fill('#q', 'sales');
await page.click('form[role="search"] button');
await page.waitForURL(/q=sales/);
await judge(page, 'console-catalogue');
await page.click('a:text-is("Salesforce")');
await judge(page, 'console-app-of-template');
for (const way of ['mcp', 'issuer', 'hand', 'key']) {
  await go(page, `/console/new-app/${way}`);
  await judge(page, `console-app-by-${way}`);
}
await page.fill('#id', 'bad id');
await press(page, '/console/new-app/key');
await page.waitForSelector('text=Nothing was stored');
await judge(page, 'console-app-wrong');
await page.fill('#id', 'news');
await page.fill('#name', 'News');
await press(page, '/console/new-app/key');
await heading(page, 'News');
await go(page, '/console/apps/demo');
await press(page, '/check');
await page.waitForSelector('text=What the check found');
await judge(page, 'console-app-checked');
await page.click('text=Change…');
await page.click('details summary:has-text("Every setting")');
await judge(page, 'console-app-edit');
await page.fill('#name', 'Demo Calendar');
await page.click('text=Store >> nth=0');
await heading(page, 'Demo Calendar');
await page.fill('#user', 'me');
await page.click('text=Start a connection');
await heading(page, 'Connect it yourself');
const [trial] = await Promise.all([
  page.waitForEvent('popup'), page.click('text=Open the connect page'),
]);
await trial.waitForSelector('text=Continue');
await trial.close();
await go(page, '/console/apps/news');
await page.click('text=Delete…');
await judge(page, 'console-app-delete');
await press(page, '/delete');
await page.waitForSelector('text=The app and its tokens were deleted.');
checked('apps are made, checked, changed, tried and deleted');

// ---- keys and the trail ----------------------------------------------------------------------

await page.click('nav >> text=Keys');
await judge(page, 'console-keys');
await page.click('text=New access key…');
await judge(page, 'console-key-new');
await page.fill('#name', 'Calendar server');
await page.selectOption('#role', 'server');
await page.click('text=Make the key');
await heading(page, 'Your new access key');
const made = (await page.textContent('code.secret')).trim();
assert.match(made, /^sr_[0-9a-f]+_/);
await judge(page, 'console-key-made');
await page.click('text=I have it');
await heading(page, 'Access keys');
assert.ok(!(await page.content()).includes(made), 'shown once');
await page.click('tr:has-text("Calendar server") >> text=Remove');
await judge(page, 'console-key-remove');
await press(page, '/remove');
await page.waitForSelector('text=The access key was removed.');
await page.click('nav >> text=Audit');
await judge(page, 'console-audit');
await page.click('text=Verify the whole trail');
await page.waitForSelector('text=The trail is whole');
await judge(page, 'console-audit-verified');
await go(page, '/console/audit?follow=yes&action=reveal');
await page.waitForSelector('text=Kept fresh by itself.');
await page.waitForSelector('text=ticket 12');
const [file] = await Promise.all([
  page.waitForEvent('download'), page.click('text=Export as JSON lines'),
]);
assert.equal(file.suggestedFilename(), 'strongroom-audit.jsonl');
checked('keys, and the trail');

// ---- what it keeps to itself -----------------------------------------------------------------

{
  const devtools = await operator.context.newCDPSession(page);
  const { entries } = await devtools.send('Page.getNavigationHistory');
  for (const { url } of entries) {
    for (const secret of [token, settings.key, made]) assert.ok(!url.includes(secret), url);
  }
  const cookies = await operator.context.cookies();
  const session = cookies.find(({ name }) => name === 'sr_console');
  assert.deepEqual([session.httpOnly, session.sameSite], [true, 'Strict']);
  assert.equal(await page.evaluate(() => document.cookie), '');
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length]), [0, 0]);
  checked('nothing is left behind');
}

{
  const plain = await person({ javaScriptEnabled: false });
  await signIn(plain.page, settings.key);
  await heading(plain.page, 'Health');
  await plain.page.waitForSelector('text=Reload the page to see what is new.');
  await plain.page.click('nav >> text=Tokens');
  await plain.page.click('tbody th a >> nth=0');
  await plain.page.waitForSelector('h2:text-is("History")');
  checked('with scripts off');
}

// ---- out -------------------------------------------------------------------------------------

await go(page, '/console/health');
await page.click('details.who summary');
await judge(page, 'console-menu');
await press(page, '/console/lock');
await heading(page, 'The vault is locked');
await judge(page, 'console-locked');
await page.fill('#passphrase', 'this is not it at all');
await press(page, '/console/unlock');
await page.waitForSelector('text=That did not unlock the vault');
await judge(page, 'console-locked-wrong');
say({ advance: 60 });
await told();
await page.fill('#passphrase', settings.passphrase);
await press(page, '/console/unlock');
await heading(page, 'Sign in');
await signIn(page, settings.key);
await heading(page, 'Health');
await page.click('details.who summary');
await press(page, '/console/sign-out');
await page.waitForSelector('text=You are signed out.');
checked('out, locked and in again');

assert.deepEqual(strangers, [], 'no other host was asked');
const policy = complaints.filter((line) => !/40[0134]/.test(line));
assert.deepEqual(policy, [], 'no page broke its own policy');
await browser.close();
process.exit(0);
