// A headless Chromium whose every request is watched, and whose pages are judged as they come up.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

// Submits the form whose action ends so.
export const press = (page, action) =>
  page.click(`form[action$="${action}"] button[type="submit"]`);

// `hosts`: those that a page may ask; what asks another is in `strangers` afterwards.
export async function watch({ node_modules: packages, chromium: executablePath }, settings, hosts) {
  const require = createRequire(join(packages, 'beside.js'));
  const { chromium } = require('playwright-core');
  const axe = readFileSync(join(packages, 'axe-core/axe.min.js'), 'utf8');
  if (settings.pictures) mkdirSync(settings.pictures, { recursive: true });
  const known = hosts.map((url) => new URL(url).host);

  const browser = await chromium.launch({
    executablePath,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
    ],
  });

  const WAYS = [
    { colorScheme: 'light', width: 1280 }, { colorScheme: 'light', width: 360 },
    { colorScheme: 'dark', width: 1280 }, { colorScheme: 'dark', width: 360 },
  ];
  const strangers = [];
  const complaints = [];

  // A person with a browser of their own, whose every request is watched.
  async function person(options = {}) {
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
    context.on('request', (request) => {
      const { host, protocol } = new URL(request.url());
      if (protocol !== 'data:' && !known.includes(host)) strangers.push(request.url());
    });
    const page = await context.newPage();
    page.on('console', (line) => { if (line.type() === 'error') complaints.push(line.text()); });
    page.on('pageerror', (error) => complaints.push(String(error)));
    return { context, page };
  }

  // Judges the page as it is, in each way it may be looked at.
  const pictured = new Set();
  async function judge(page, name) {
    for (const { colorScheme, width } of WAYS) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name}: ${wide} px are cut off at ${width}`);
      if (width === 360) {
        await page.evaluate(axe);
        // Of the schemes only the colours differ.
        const rules = colorScheme === 'light'
          ? ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
          : { type: 'rule', values: ['color-contrast'] };
        const { violations } = await page.evaluate(
          (runOnly) => window.axe.run(document, { runOnly }), rules,
        );
        const shown = violations.map(({ id, nodes }) => `${id}: ${nodes.map((n) => n.html).join(' | ')}`);
        assert.deepEqual(shown, [], `${name}, ${colorScheme}`);
      }
      if (settings.pictures && !pictured.has(`${name}-${colorScheme}-${width}`)) {
        pictured.add(`${name}-${colorScheme}-${width}`);
        const path = join(settings.pictures, `${name}-${colorScheme}-${width}.png`);
        await page.screenshot({ path, fullPage: true });
      }
    }
    assert.equal(await page.locator('h1').count(), 1, name);
  }

  return { browser, person, judge, strangers, complaints };
}
