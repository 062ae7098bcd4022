// Which content waits for a turn of the gate: long content does, and what is sent in one piece does not. The only turn is taken, and no time passes.

import { expect, test } from 'bun:test'
import { createConverter } from '../../../../agent/convert/converter.ts'
import { createTransferGate } from '../../../../agent/http/content/transfer-gate.ts'
import { contentRoutes } from '../../../../agent/http/routes/content.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { openImageStore, seededBytes } from '../../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createMemoryApp } from '../../../support/memory/memory-app.ts'
import { until } from '../../../support/until.ts'

const MIB = 1_048_576

test('up to 1 MiB and short manifests are sent at once, and more waits for its turn', async () => {
  await using folder = await createTemporaryFolder()
  await using store = await openImageStore(folder)
  const bytes = Buffer.from(seededBytes(MIB + 1, 1))
  const { id } = await store.add(bytes)
  const downloads = createTransferGate({ clock: createManualClock(), limit: 1 })
  const { slices, catalogue } = store
  await using app = await createMemoryApp({
    routes: contentRoutes({ images: catalogue, slices, converter: createConverter({ slices, clock: systemClock }), downloads }),
  })
  const ask = (what: string, range?: string) => app.ask(`/v1/images/${id}/${what}`, { role: 'viewer', ...(range === undefined ? {} : { headers: { range } }) })
  const turn = await downloads.enter('another transfer')

  const manifest = await ask('manifest')
  expect([manifest.status, (await manifest.bytes()).byteLength]).toEqual([200, Number(manifest.headers.get('content-length'))])
  const part = await ask('content', 'bytes=1-1048576')
  expect([part.status, part.headers.get('content-length'), part.headers.get('content-range')]).toEqual([206, '1048576', 'bytes 1-1048576/1048577'])
  expect(Buffer.from(await part.bytes()).equals(bytes.subarray(1))).toBe(true)
  expect(downloads.state()).toEqual({ active: 1, waiting: 0 })

  let isAnswered = false
  const whole = Promise.resolve(ask('content')).finally(() => (isAnswered = true))
  await until('the content waits', () => downloads.state().waiting === 1)
  expect(isAnswered).toBe(false)
  turn[Symbol.dispose]()
  const answer = await whole
  expect([answer.status, answer.headers.get('content-length')]).toEqual([200, '1048577'])
  expect(Buffer.from(await answer.bytes()).equals(bytes)).toBe(true)
  expect(downloads.state()).toEqual({ active: 0, waiting: 0 })
})
