// Odd names, many apps and scopes, an operator's own brand, and links that end in odd ways: judged as
// `pages.mjs` judges.
//
// Use:     node odd.mjs '{"node_modules":"…","chromium":"…"}'

import assert from 'node:assert/strict';

import { caller, checked, say, told } from './talk.mjs';
import { press, watch } from './watch.mjs';

say({ origin: 'https://agent.example' });
const settings = await told();
const { browser, person, judge, strangers, complaints } =
  await watch(JSON.parse(process.argv[2]), settings, [settings.url]);

const call = caller(settings);
const link = (user, apps, more = {}) =>
  call('POST', '/v1/connect', { user, apps: apps.map((app) => ({ app })), verify: 'none', ...more });

async function open(page, { url }) {
  await page.goto(url);
  await page.click('form[action^="/c/"] button');
  await page.waitForURL(/\/connect\//);
}

{
  const { page } = await person();
  const user = `${'משתמש'.repeat(9)}@${'a'.repeat(120)}.example`;
  const many = await link(user, settings.apps, { reason: 'Weil '.repeat(60) });
  await page.goto(many.url);
  await judge(page, 'odd-invitation');
  await page.click('form[action^="/c/"] button');
  await page.waitForSelector('text=0 of 16 connected');
  await judge(page, 'odd-apps');
  assert.equal(await page.locator('button.main').count(), 1, 'one clear thing to press');
  assert.equal(await page.locator('ul.scopes li').count(), settings.scopes);
  assert.equal(await page.locator('script, main b').count(), 0, 'names are text');
  checked('odd names, many apps and many scopes');
}

{
  const { page } = await person();
  await page.goto((await link('ann', ['demo'])).url);
  assert.equal(await page.locator('.brand').textContent(), settings.brand);
  const logo = page.locator('.brand img');
  assert.ok(await logo.evaluate((img) => img.complete && img.naturalWidth > 0), 'the logo is seen');
  // Such a colour takes dark words on it, which axe-core measures.
  await judge(page, 'brand');
  checked("the operator's brand");
}

{
  const { page } = await person();
  const withdrawn = await link('cid', ['demo']);
  await open(page, withdrawn);
  await call('DELETE', `/v1/connect/${withdrawn.id}`);
  await press(page, '/demo/go');
  await page.waitForSelector('text=was taken back');
  await judge(page, 'withdrawn');
  checked('withdrawn');
}

{
  const { page } = await person();
  const coded = await link('dan', ['demo'], { verify: 'code' });
  await open(page, coded);
  const wrong = coded.code === '000000' ? '111111' : '000000';
  for (const told of ['4 tries', '3 tries', '2 tries', 'last try', 'Too many wrong codes']) {
    await page.fill('input[name="code"]', wrong);
    await press(page, '/code');
    await page.waitForSelector(`text=${told}`);
  }
  await judge(page, 'too-many-codes');
  checked('too many wrong codes');
}

{
  const { page } = await person();
  const locked = await link('eli', ['demo']);
  await open(page, locked);
  say({ lock: true });
  await told();
  await press(page, '/demo/go');
  await page.waitForSelector('text=locked at the moment');
  await judge(page, 'locked');
  checked('a locked vault');
}

assert.deepEqual(strangers, [], 'no other host was asked');
const policy = complaints.filter((line) => !/status of (404|503)/.test(line));
assert.deepEqual(policy, [], 'no page broke its own policy');
await browser.close();
process.exit(0);
