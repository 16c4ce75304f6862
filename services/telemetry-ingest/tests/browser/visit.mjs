// Opens pages in Chromium as an administrator would and says what happened: dialogs, breaches of the content security
// policy, errors, requests to strangers, texts that are not there as text, what axe finds. Pages come on standard input
// as JSON, the answer goes to standard output.
//
// With a second argument, a folder, it also takes pictures there: phone and desk, light and dark, and the print.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(join(process.env.MODULES, 'visit.mjs'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

const pictures = process.argv[2];
const pages = JSON.parse(readFileSync(0, 'utf8'));
const home = new URL(pages[0].url).origin;
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true };
const desk = { viewport: { width: 1280, height: 900 } };
const seen = { visited: 0, dialogs: [], violations: [], errors: [], strangers: [], unseen: [], axe: [] };
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  // Whoever tests in a container is root there, which Chromium's own sandbox refuses.
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});

// A window, that tells of all that happens in it.
async function open(options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('dialog', (dialog) => {
    seen.dialogs.push(`${page.url()}: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on('console', (message) => {
    if (message.type() === 'error') seen.violations.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => seen.errors.push(`${page.url()}: ${error}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(home) && !request.url().startsWith('data:')) seen.strangers.push(request.url());
  });
  return page;
}

async function lookAt(page, { url, token, texts, axe: judged }, name) {
  await page.context().addCookies([{ name: 'seatpilot_admin', value: token, domain: new URL(url).hostname, path: '/admin' }]);
  const answer = await page.goto(url, { waitUntil: 'load' });
  if (answer.status() !== 200) seen.errors.push(`${url}: ${answer.status()}`);
  const whole = await page.evaluate(() => ({
    text: document.body.textContent,
    scripts: document.querySelectorAll('script, iframe, object, style').length,
    handlers: [...document.querySelectorAll('*')].filter((one) => [...one.attributes].some((a) => a.name.startsWith('on'))).length,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  }));
  for (const text of texts) if (!whole.text.includes(text)) seen.unseen.push(`${url}: ${text}`);
  if (whole.scripts + whole.handlers > 0) seen.errors.push(`${url}: ${whole.scripts} scripts, ${whole.handlers} handlers`);
  if (whole.wide > 0) seen.errors.push(`${url}: the page is ${whole.wide} px wider than the screen`);
  if (judged) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run());
    for (const one of found.violations) seen.axe.push(`${url} ${name}: ${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(' ')}`);
  }
  if (pictures) {
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
    if (name.includes('desk-light')) {
      await page.emulateMedia({ media: 'print' });
      await page.setViewportSize({ width: 718, height: 1000 }); // A4 within its margins
      await page.screenshot({ path: join(pictures, `${name}-print.png`), fullPage: true });
    }
  }
  seen.visited += 1;
}

try {
  const plain = await open(desk);
  for (const [number, wanted] of pages.entries()) {
    if (!wanted.axe) {
      await lookAt(plain, wanted, '');
      continue;
    }
    for (const [name, size] of Object.entries({ phone, desk })) {
      for (const colorScheme of ['light', 'dark']) {
        const page = await open({ ...size, colorScheme });
        await lookAt(page, wanted, `${number}-${name}-${colorScheme}`);
        await page.context().close();
      }
    }
    seen.visited -= 3;
  }
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(seen));
