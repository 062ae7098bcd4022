// The bundle of the upload page: named by its content, and made again after a failure.

import { expect, test } from 'bun:test'
import { createUploadAssets } from '../../../bot/gateway/assets.ts'

const bundled = (script: string): Map<string, Uint8Array<ArrayBuffer>> =>
  new Map([
    ['upload-page.js', new TextEncoder().encode(script)],
    ['upload-page.css', new TextEncoder().encode('body{}')],
  ])

test('a bundle that failed is made again at the next request', async () => {
  let calls = 0
  const assets = createUploadAssets(() => (++calls === 1 ? Promise.reject(new Error('no space left on device')) : Promise.resolve(bundled('1'))))
  expect(await assets().catch(String)).toBe('Error: no space left on device')
  expect((await assets()).files.size).toBe(2)
  await assets()
  expect(calls).toBe(2)
})

test('two requests at once share one bundle, and its name changes with its content', async () => {
  let calls = 0
  const assets = createUploadAssets(() => {
    calls++
    return Promise.resolve(bundled('1'))
  })
  const [first, second] = await Promise.all([assets(), assets()])
  expect(calls).toBe(1)
  expect(first).toBe(second)
  const other = await createUploadAssets(() => Promise.resolve(bundled('2')))()
  expect(other.scriptPath).not.toBe(first.scriptPath)
  expect(other.stylePath).toBe(first.stylePath)
})
