// A person walks through the page in a real Chromium, with a real agent and the service of the bot as processes: from a one-time link to an image that is uploaded
// with a cut, downloaded, deleted and restored, and a task that moves; then with the keyboard alone, and without JavaScript on a phone in dark mode.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import { readFileSync } from 'node:fs'
import type { BrowserContext, Page } from 'playwright-core'
import { hasTool, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'
import { follow, keepPicture, startWalk, tabTo, uploadWithCut } from './page-walk.ts'
import type { Walk } from './page-walk.ts'

setDefaultTimeout(180_000)

const hasAll = hasTool('chromium', 'chromium') && hasTool('qemu-img', 'qemu-utils')
const walkTest = hasTool('chromium', 'chromium') ? requireTool('qemu-img', 'qemu-utils') : requireTool('chromium', 'chromium')

describe('a walk through the page', () => {
  let walk: Walk
  let context: BrowserContext
  let tab: Page

  beforeAll(async () => {
    if (!hasAll) return
    walk = await startWalk()
    context = await walk.browser.newContext({ viewport: { width: 1200, height: 800 }, acceptDownloads: true })
    tab = await walk.open(context)
  })
  afterAll(async () => {
    await walk?.[Symbol.asyncDispose]()
  })

  /** Shows a place by a click on a link or a button with this name. */
  const click = async (role: 'link' | 'button', name: string): Promise<void> => {
    await tab.getByRole('main').getByRole(role, { name, exact: true }).first().click()
  }
  const heading = (name: string | RegExp) => tab.getByRole('heading', { name }).first().waitFor()
  const find = async (name: string) => (await walk.agent.client.images.list()).items.find((image) => image.name === name)

  walkTest('a link enters once, and home has the fleet, worst first', async () => {
    const link = await walk.enterUrl()
    await tab.goto(link)
    await tab.getByRole('button', { name: 'Enter' }).click()
    await tab.waitForURL(`${walk.origin}/`)
    await until('the service has seen all stores', async () => {
      await tab.reload()
      return /\d Degraded, \d Running/.test((await tab.textContent('main')) ?? '')
    })
    // A busy machine degrades the store of the walk as well.
    expect(await tab.locator('main tbody tr').first().textContent()).toMatch(/(?:store-0000|edge-a).*Degraded/)
    await keepPicture(tab, 'home', true)
    const again = await (await walk.browser.newContext()).newPage()
    await again.goto(link)
    expect(await again.textContent('main')).toContain('already used')
    await keepPicture(again, 'link-used')
    await again.context().close()
  })

  for (const way of ['gateway', 'direct'] as const) {
    walkTest(`a qcow2 is uploaded ${way}: cut in the middle, and continued after the tab was closed`, async () => {
      const name = way === 'direct' ? 'debian-12' : 'debian-12-gateway'
      expect(await uploadWithCut(walk, context, way, name)).toBeGreaterThan(0)
      const image = await until('the image is available', async () => {
        const found = await find(name)
        return found?.status === 'available' && found.digest !== null ? found : undefined
      })
      expect(image.digest).toBe(`sha256:${Bun.SHA256.hash(readFileSync(walk.file), 'hex')}`)
    })
  }

  walkTest('from home to the store, its images and one image, which is downloaded with the bytes of the file', async () => {
    await tab.goto(walk.origin)
    await click('link', 'edge-a')
    await heading('edge-a')
    await keepPicture(tab, 'store', true)
    await click('link', 'Files')
    await tab.getByText('images/').first().waitFor()
    await keepPicture(tab, 'files', true)
    await click('link', 'Images')
    await click('link', 'debian-12')
    await heading('debian-12')
    await keepPicture(tab, 'image', true)
    await click('link', 'image link')
    await tab.getByRole('button', { name: 'Link', exact: true }).click()
    const url = await tab.locator('dd a').first().getAttribute('href')
    const download = tab.waitForEvent('download')
    // The address of the agent is that of its own network; a browser reaches it by the line of the test.
    await tab.evaluate(`document.querySelector('dd a').href = ${JSON.stringify(url)}; document.querySelector('dd a').click()`)
    const path = await (await download).path()
    expect(Bun.SHA256.hash(readFileSync(path), 'hex')).toBe(Bun.SHA256.hash(readFileSync(walk.file), 'hex'))
  })

  walkTest('an image is deleted with its typed name, and restored', async () => {
    const image = await find('debian-12-gateway')
    await tab.goto(`${walk.origin}/images/${image?.id}`)
    await click('link', 'image delete')
    const name = tab.getByLabel('Type debian-12-gateway to confirm')
    await name.fill('debian-12')
    await name.press('Enter')
    await tab.locator('#confirm-error').waitFor()
    await keepPicture(tab, 'delete', true)
    expect((await find('debian-12-gateway'))?.status).toBe('available')
    await name.fill('debian-12-gateway')
    await name.press('Enter')
    await heading('Deleted debian-12-gateway')
    expect(await find('debian-12-gateway')).toBeUndefined()
    await tab.goto(`${walk.origin}/c/image/bin`)
    await click('button', 'Restore debian-12-gateway')
    await heading('Image debian-12-gateway restored')
    expect((await find('debian-12-gateway'))?.status).toBe('available')
  })

  walkTest('two images are chosen by their boxes and protected by one run, which goes on when its tab is closed', async () => {
    const own = await walk.open(context)
    await own.goto(`${walk.origin}/stores/edge-a/images`)
    await own.getByLabel('Choose debian-12', { exact: true }).check()
    await own.getByLabel('Choose debian-12-gateway', { exact: true }).check()
    await own.getByRole('button', { name: 'Protect', exact: true }).click()
    await own.getByRole('button', { name: 'Protect', exact: true }).click()
    await own.getByRole('heading', { name: 'Protect 2 images' }).waitFor()
    const runUrl = new URL((await own.locator('main').getAttribute('data-for')) ?? '/none', walk.origin).href
    await own.close()
    await until('both are protected', async () => (await find('debian-12'))?.protected === true && (await find('debian-12-gateway'))?.protected === true)
    await tab.goto(runUrl)
    await heading('Done: Protect 2 images')
    await keepPicture(tab, 'bulk-run')
    for (const name of ['debian-12', 'debian-12-gateway']) await walk.agent.client.images.patch((await find(name))?.id ?? '', { protected: false })
  })

  walkTest('a task moves without a reload', async () => {
    const bytes = readFileSync(walk.file)
    const half = Promise.withResolvers<void>()
    const whole = Promise.withResolvers<void>()
    await using source = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      idleTimeout: 0,
      fetch: (request) => {
        const headers = { 'content-length': String(bytes.length), 'content-type': 'application/octet-stream' }
        if (request.method === 'HEAD') return new Response(null, { headers })
        return new Response(
          new ReadableStream({
            async start(controller) {
              controller.enqueue(bytes.subarray(0, bytes.length / 6))
              await half.promise
              controller.enqueue(bytes.subarray(bytes.length / 6, (bytes.length * 5) / 6))
              await whole.promise
              controller.enqueue(bytes.subarray((bytes.length * 5) / 6))
              controller.close()
            },
          }),
          { headers },
        )
      },
    })
    await tab.goto(`${walk.origin}/c/image/add?store=edge-a&name=imported`)
    await tab.locator('[name=url]').fill(new URL('/debian-12.qcow2', source.url).href)
    await tab.getByRole('button', { name: 'Add', exact: true }).click()
    await keepPicture(tab, 'import-plan')
    await tab.getByRole('button', { name: 'Import', exact: true }).click()
    const task = await until('the import runs', async () =>
      (await walk.agent.client.tasks.list()).items.find(({ state, kind }) => state === 'running' && /import/.test(kind)),
    )
    await tab.goto(`${walk.origin}/c/task/show/${task.id}`)
    const bar = tab.locator('.progress').first()
    await bar.locator('progress').waitFor()
    const before = await bar.textContent()
    await tab.evaluate(`window.isTheSamePage = true`)
    await keepPicture(tab, 'task')
    half.resolve()
    await until('the bar moves', async () => /running: 5\.5 MB/.test((await bar.textContent()) ?? ''))
    expect(before).not.toContain('5.5 MB')
    whole.resolve()
    await until('the page says that it ended', async () => /succeeded/i.test((await tab.textContent('main')) ?? ''))
    expect(await tab.evaluate<boolean>(`window.isTheSamePage === true`)).toBe(true)
  })

  walkTest('with the keyboard alone: link, home, store, image, deletion with the typed name, and back', async () => {
    const own = await walk.browser.newContext()
    const keys = await walk.open(own)
    await keys.goto(await walk.enterUrl())
    await follow(keys, 'Enter')
    await follow(keys, 'edge-a')
    await follow(keys, 'Images')
    await tabTo(keys, 'debian-12-gateway')
    await keepPicture(keys, 'keyboard')
    await Promise.all([keys.waitForNavigation(), keys.keyboard.press('Enter')])
    await follow(keys, 'image delete')
    await tabTo(keys, 'Type debian-12-gateway to confirm')
    await keys.keyboard.type('debian-12-gateway')
    await Promise.all([keys.waitForNavigation(), keys.keyboard.press('Enter')])
    expect(await keys.textContent('h1')).toContain('Deleted debian-12-gateway')
    await keys.keyboard.press('/')
    await keys.keyboard.type('debian')
    await Promise.all([keys.waitForNavigation(), keys.keyboard.press('Enter')])
    expect(await keys.textContent('main')).toContain('debian-12')
    await own.close()
  })

  walkTest('without JavaScript, on a phone, in dark mode: every place has its facts and fits', async () => {
    const own = await walk.browser.newContext({ javaScriptEnabled: false, viewport: { width: 360, height: 740 }, colorScheme: 'dark' })
    const phone = await walk.open(own)
    await phone.goto(await walk.enterUrl())
    await phone.getByRole('button', { name: 'Enter' }).click()
    await phone.waitForURL(`${walk.origin}/`)
    const image = await find('debian-12')
    const places: [string, string, RegExp][] = [
      ['home', '/', /\d Degraded, \d Running/],
      ['store', '/stores/edge-a', /edge-a/],
      ['images', '/images', /debian-12/],
      ['image', `/images/${image?.id}`, /SHA-256/],
      ['tasks', '/tasks', /succeeded/i],
      ['audit', '/audit', /image delete/],
    ]
    for (const [name, path, words] of places) {
      await phone.goto(walk.origin + path)
      expect([name, await phone.textContent('main')]).toEqual([name, expect.stringMatching(words)])
      const box = await phone.locator('body').boundingBox()
      expect([name, box?.width]).toEqual([name, 360])
      await keepPicture(phone, `phone-dark-${name}`)
    }
    await own.close()
  })

  walkTest('in dark mode, and no page broke its policy, failed, or asked another origin', async () => {
    await tab.emulateMedia({ colorScheme: 'dark' })
    await tab.goto(`${walk.origin}/stores`)
    await keepPicture(tab, 'stores-dark', false)
    expect(walk.faults).toEqual([])
  })
})
