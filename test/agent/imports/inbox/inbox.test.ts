// The bounds of the inbox: how many files are imported at once, how many wait, and what is left alone.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { openInbox } from '../../../../agent/imports/inbox/inbox.ts'
import type { InboxDeps } from '../../../../agent/imports/inbox/inbox.ts'
import { openInboxFolder } from '../../../../agent/imports/local/inbox-folder.ts'
import type { InboxFolder } from '../../../../agent/imports/local/inbox-folder.ts'
import type { NewEvent } from '../../../../agent/contract/work.ts'
import { systemClock } from '../../../../agent/system/clock.ts'
import { createDisk } from '../../../../agent/system/disk.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { createMemoryLog } from '../../../support/memory/memory-log.ts'
import { until } from '../../../support/until.ts'

// Looks at a folder on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

type Outcome = Awaited<ReturnType<InboxDeps['importFile']>>

interface Stage {
  readonly inbox: AsyncDisposable
  /** Paths in the order in which their imports started. */
  readonly started: string[]
  readonly events: NewEvent[]
  /** Ends the import of a path. */
  end(path: string, outcome: Outcome): void
}

/** Opens an inbox in a folder whose files settle at once. `answer` ends an import at once; without one, the test ends it. */
async function open(folder: TemporaryFolder, answer?: (path: string) => Outcome, list?: InboxFolder['list']): Promise<Stage> {
  const disk = createDisk()
  const inboxFolder = await openInboxFolder(folder.file('inbox'), { disk, crashPoint() {} })
  const started: string[] = []
  const events: NewEvent[] = []
  const ends = new Map<string, (outcome: Outcome) => void>()
  const inbox = await openInbox({
    folder: list ? { ...inboxFolder, list } : inboxFolder,
    clock: systemClock,
    log: createMemoryLog(),
    emit: (event) => void events.push(event),
    crashPoint() {},
    settleMs: 1,
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    importFile({ path }, _draft, signal) {
      started.push(path)
      if (answer) return Promise.resolve(answer(path))
      return new Promise((resolve, reject) => {
        ends.set(path, resolve)
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      })
    },
    findImage: () => undefined,
    removeImage: async () => {},
  })
  return { inbox, started, events, end: (path, outcome) => ends.get(path)?.(outcome) }
}

const name = (i: number): string => `${String(i).padStart(3, '0')}.img`
const put = (folder: TemporaryFolder, count: number): void => {
  mkdirSync(folder.file('inbox'), { recursive: true })
  for (let i = 0; i < count; i++) writeFileSync(folder.file('inbox', name(i)), `file ${i}`)
}
const left = (folder: TemporaryFolder): string[] => readdirSync(folder.file('inbox')).filter((found) => found.endsWith('.img'))

describe('the inbox', () => {
  test('imports two files at once; the next one starts when one of them has ended', async () => {
    await using folder = await createTemporaryFolder()
    put(folder, 5)
    const { inbox, started, end } = await open(folder)
    await using _inbox = inbox
    for (let done = 0; done < 5; done++) {
      const most = Math.min(5, done + 2)
      await until(`${most} imports have started`, () => started.length === most)
      // Two more looks at least.
      await Bun.sleep(450)
      expect(started.length).toBe(most)
      end(started[done] ?? '', { kind: 'available' })
    }
    await until('every file is removed', () => left(folder).length === 0 && readdirSync(folder.file('inbox', '.slipway')).length === 0)
    expect(new Set(started).size).toBe(5)
  })

  test('leaves the other files alone while 16 wait, and says each reason once', async () => {
    await using folder = await createTemporaryFolder()
    put(folder, 19)
    const reason = 'The store is full.'
    const { inbox, started, events } = await open(folder, () => ({ kind: 'later', reason }))
    await using _inbox = inbox
    await until('16 files wait', () => started.length >= 16)
    await Bun.sleep(900)
    // At most one more than those that wait was being imported when the 16th began to wait.
    expect([started.length >= 16, started.length <= 17]).toEqual([true, true])
    expect(events.filter(({ type }) => type === 'inbox.waiting')).toHaveLength(started.length)
    expect(left(folder)).toHaveLength(19)
    expect(readdirSync(folder.file('inbox', '.slipway'))).toHaveLength(started.length)
  })

  test('says once that it has more entries than it looks at, and again after there were fewer', async () => {
    await using folder = await createTemporaryFolder()
    let isCut = true
    let looks = 0
    const { inbox, events } = await open(folder, undefined, async () => {
      looks++
      return { entries: [], isCut }
    })
    await using _inbox = inbox
    const crowded = () => events.filter(({ type }) => type === 'inbox.crowded').length
    /** Waits for another look, which a new file causes. */
    const look = async (): Promise<void> => {
      const before = looks
      await until('the inbox is looked at again', () => {
        writeFileSync(folder.file('inbox', `wake-${looks}.part`), String(Math.random()))
        return looks > before + 1
      })
    }
    await look()
    expect(crowded()).toBe(1)
    isCut = false
    await look()
    isCut = true
    await look()
    expect(crowded()).toBe(2)
  })

  test('takes files at its top only: those in folders stay, however deep', async () => {
    await using folder = await createTemporaryFolder()
    put(folder, 1)
    const deep = ['inbox', ...Array.from({ length: 40 }, () => 'd')]
    mkdirSync(folder.file(...deep), { recursive: true })
    writeFileSync(folder.file(...deep, 'deep.img'), 'x')
    const { inbox, started } = await open(folder, () => ({ kind: 'available' }))
    await using _inbox = inbox
    await until('the file is imported', () => left(folder).length === 0)
    expect(started).toEqual(['inbox/000.img'])
    expect(existsSync(folder.file(...deep, 'deep.img'))).toBe(true)
  })

  test('imports a file whose name is as long as an image may be named, and refuses one that is no name', async () => {
    await using folder = await createTemporaryFolder()
    mkdirSync(folder.file('inbox'))
    const longest = 'n'.repeat(255)
    writeFileSync(folder.file('inbox', longest), 'x')
    writeFileSync(folder.file('inbox', ' '), 'x')
    const { inbox, started, events } = await open(folder, () => ({ kind: 'available' }))
    await using _inbox = inbox
    await until('one is refused', () => events.length > 0)
    await until('both are gone', () => readdirSync(folder.file('inbox')).toSorted().join() === '.slipway,refused')
    expect(started).toEqual([`inbox/${longest}`])
    expect(events.map(({ type }) => type)).toEqual(['inbox.refused'])
    expect(readdirSync(folder.file('inbox', 'refused')).toSorted()).toEqual([' ', ' .reason.txt'])
  })
})
