// A person uploads a qcow2 in Chromium by the page of a link, through the bot and straight to the agent. The upload is cut in the middle, the tab is closed and opened
// again, and the same file continues it.

import { afterAll, beforeAll, describe, expect, setDefaultTimeout } from 'bun:test'
import { hasTool, requireTool } from '../../support/require.ts'
import { until } from '../../support/until.ts'
import { DISK_LENGTH, openBrowserUpload, sendFile } from './browser-upload.ts'
import type { BrowserUpload } from './browser-upload.ts'

setDefaultTimeout(120_000)

/** Bytes after which the network holds the rest back, until the connection is cut. */
const HELD_BYTES = 2 * 1024 * 1024
const canRun = hasTool('chromium', 'chromium') && hasTool('qemu-img', 'qemu-utils')
const browserTest = hasTool('chromium', 'chromium') ? requireTool('qemu-img', 'qemu-utils') : requireTool('chromium', 'chromium')

describe('an upload in the browser', () => {
  let world: BrowserUpload

  beforeAll(async () => {
    if (canRun) world = await openBrowserUpload()
  })
  afterAll(() => world?.[Symbol.asyncDispose]())

  for (const way of ['direct', 'gateway'] as const) {
    browserTest(`by the page of a link, ${way}`, async () => {
      const { agent, agentLine, service, bot, browser, file } = world
      const name = `by-link-${way}`
      // Without the origin of the page in the link, the agent does not let the page call it, and the browser goes through the bot.
      const origin = way === 'direct' ? { origin: new URL(service.proxy.url).origin } : {}
      const link = await agent.client.links.create({ kind: 'upload', name, ...origin })
      const path = bot.uploadPages.add({ store: 'edge-a', ...link, url: link.url.replace(agent.url, agentLine.url) })
      const url = new URL(path, service.proxy.url).href
      const faults: string[] = []
      await using context = await browser.newContext()
      const line = way === 'direct' ? agentLine : service.proxy
      const first = await world.open(context, url, faults)
      line.holdAt(line.bytes.up + HELD_BYTES)
      await sendFile(first, file)
      const upload = await until('the agent has bytes', async () =>
        (await agent.client.uploads.list()).items.find((one) => one.name === name && one.offset > 0),
      )
      expect(await first.getAttribute('#uploader', 'data-way')).toBe(way)
      line.cutAll()
      await first.close()
      line.holdAt(Number.POSITIVE_INFINITY)
      const second = await world.open(context, url, faults)
      await sendFile(second, file)
      await second.getByText('The image is in edge-a.').waitFor()
      expect(faults).toEqual([])
      expect(await second.textContent('#sentence')).toBe('The image is in edge-a. You can close this page.')
      expect(await second.textContent('#found')).toMatch(/Formatqcow2/)
      expect(upload.offset).toBeGreaterThan(0)
      const image = await world.image(name)
      expect([image.format, image.virtualSize]).toEqual(['qcow2', DISK_LENGTH])
      expect(image.digest).toBe(`sha256:${new Bun.CryptoHasher('sha256').update(await Bun.file(file).bytes()).digest('hex')}`)
    })
  }
})
