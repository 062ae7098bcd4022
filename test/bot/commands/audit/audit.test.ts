// `audit list`, `audit verify`, and what is recorded of reads, questions, refusals and a log that cannot be written.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import type { AuditDraft } from '../../../../bot/audit/audit.ts'
import { runLine } from '../../../../bot/commands/run.ts'
import type { OpenBot } from '../../../../bot/open.ts'
import { createMemoryAgent } from '../../../support/memory/memory-agent.ts'
import { createManualClock } from '../../../support/memory/manual-clock.ts'
import { createTemporaryFolder } from '../../../support/machine/temporary-folder.ts'
import { openTestBot, runCommand, runJson } from '../../fixture.ts'

// A busy machine takes longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const DRAFT: AuditDraft = {
  timeMs: 0,
  actor: 'ada (U1)',
  surface: 'slack',
  command: 'store enable edge-a',
  target: 'edge-a',
  outcome: 'done',
  detail: 'Enabled',
}

async function withBot(run: (bot: OpenBot) => Promise<void>): Promise<void> {
  await using folder = await createTemporaryFolder()
  using bot = openTestBot(folder.path)
  await run(bot)
}

/** Number, command and outcome of what `audit list` shows, oldest first. */
async function listed(bot: OpenBot, ...words: string[]): Promise<string[]> {
  const { value } = await runJson(bot, 'audit', 'list', ...words)
  return (value['items'] as { command: string; outcome: string }[]).map(({ command, outcome }) => `${command}: ${outcome}`).toReversed()
}

describe('the audit log', () => {
  test('has reads, questions and what was not understood, and shows them when asked for', () =>
    withBot(async (bot) => {
      await using agent = createMemoryAgent('edge-a')
      bot.fleet.registry.add({ name: 'edge-a', url: agent.url, token: agent.token, zone: 'z1', provider: 'local', storeId: agent.store.id }, 0)
      for (const line of ['store list', 'store show nothing', 'store delete edge-a', 'store add', 'stor list token=hidden'])
        await runLine(bot.context({ name: 'ann', role: 'admin' }, 'console'), line)
      await runLine(bot.context({ name: 'eve', role: 'viewer' }, 'console'), 'audit list')
      expect(await listed(bot)).toEqual(['audit list: refused'])
      expect(await listed(bot, '--reads', 'actor=ann')).toEqual([
        'store list: done',
        'store show nothing: failed',
        'store delete edge-a: asked',
        'store add: asked',
        '(not understood): unclear',
      ])
      expect(await listed(bot, 'command=store list')).toEqual(['store list: done'])
      expect(await listed(bot, 'outcome=asked')).toEqual(['store delete edge-a: asked', 'store add: asked'])
      expect((await runCommand(bot, 'audit', 'export', '--json')).output).not.toContain('hidden')
    }))

  test('has a write before it runs, so that one that was interrupted is listed', () =>
    withBot(async (bot) => {
      let during: unknown
      const context = bot.context({ name: 'ann', role: 'admin' }, 'console')
      const commands = context.commands.map((command) =>
        command.noun === 'store' && command.verb === 'enable'
          ? {
              ...command,
              run: (...given: Parameters<typeof command.run>) => {
                during = bot.audit.list({ limit: 5 }).map(({ outcome, command: line }) => [outcome, line])
                return command.run(...given)
              },
            }
          : command,
      )
      await runLine({ ...context, commands }, 'store enable edge-a')
      expect(during).toEqual([['begun', 'store enable edge-a']])
      expect(bot.audit.list({ limit: 5 })).toMatchObject([{ seq: 2, outcome: 'failed', begunSeq: 1 }])
    }))

  test('that cannot be written stops writes, and not reads', () =>
    withBot(async (bot) => {
      bot.database.run(`CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END`)
      const context = bot.context({ name: 'ann', role: 'admin' }, 'console')
      const list = await runLine(context, 'store list')
      expect([list.outcome, list.notes]).toEqual(['done', ['The audit log cannot be written: disk full. Check the disk of the bot.']])
      let ran = 0
      const commands = context.commands.map((command) => ({ ...command, run: () => Promise.reject(new Error(`ran ${++ran}`)) }))
      const write = await runLine({ ...context, commands }, 'store enable edge-a')
      expect([write.outcome, write.title, write.text]).toEqual(['failed', 'Not recorded', 'The audit log cannot be written: disk full. Nothing was changed.'])
      expect((await runLine({ ...context, commands }, 'store delete edge-a --confirm edge-a')).title).toBe('Not recorded')
      expect(ran).toBe(0)
    }))
})

describe('audit list', () => {
  test('filters by actor, target, command, outcome and time, and has pages', async () => {
    await using folder = await createTemporaryFolder()
    const clock = createManualClock()
    using bot = openTestBot(folder.path, clock)
    const nowMs = clock.nowMs()
    const rows: Partial<AuditDraft>[] = [
      { actor: 'ada (U1)', timeMs: nowMs - 7_200_001 },
      { actor: 'bob (U2)', target: 'edge-b', command: 'store disable edge-b', timeMs: nowMs - 7_200_000 },
      { actor: 'bob (U2)', outcome: 'refused', timeMs: nowMs - 3_600_000 },
      { actor: 'Ada (U1)', outcome: 'failed', timeMs: nowMs },
    ]
    for (const row of rows) bot.audit.append({ ...DRAFT, ...row })
    const seqs = async (...words: string[]): Promise<unknown> => {
      const { value } = await runJson(bot, 'audit', 'list', ...words)
      return (value['items'] as { seq: number }[]).map(({ seq }) => seq)
    }
    expect(await seqs()).toEqual([4, 3, 2, 1])
    expect(await seqs('actor=ada')).toEqual([4, 1])
    expect(await seqs('actor=U2')).toEqual([3, 2])
    expect(await seqs('target=EDGE-B')).toEqual([2])
    expect(await seqs('command=disable')).toEqual([2])
    expect(await seqs('outcome=refused')).toEqual([3])
    expect(await seqs('since=2h')).toEqual([4, 3, 2])
    expect(await seqs('until=1h')).toEqual([3, 2, 1])
    expect(await seqs(`since=${new Date(nowMs - 3_600_000).toISOString()}`, 'until=1h')).toEqual([3])
    expect(await seqs('before=3', 'limit=1')).toEqual([2])
    const page = await runJson(bot, 'audit', 'list', 'before=5', 'limit=2')
    expect(page.value['next']).toBe(3)
    expect((await runCommand(bot, 'audit', 'list', 'before=5', 'limit=2')).output).toContain('before=3')
    expect((await runJson(bot, 'audit', 'list', 'before=3', 'limit=2')).value['next']).toBeNull()
    expect(page.value['items']).toMatchObject([{ actor: 'Ada (U1)', time: new Date(nowMs).toISOString(), hash: expect.stringMatching(/^[0-9a-f]{64}$/) }, {}])
  })

  test.each([
    ['outcome=ok', 'outcome=ok is not valid.'],
    ['since=yesterday', 'since=yesterday is not a time.'],
    ['until=2026-13-01', 'until=2026-13-01 is not a time.'],
    ['before=0', 'before=0 is not a number from 1'],
    ['limit=1001', 'limit=1001 is not a number from 1 to 1000.'],
  ])('refuses %s', (word, sentence) =>
    withBot(async (bot) => {
      const { code, output } = await runCommand(bot, 'audit', 'list', word)
      expect(code).toBe(1)
      expect(output).toContain(sentence)
    }),
  )
})

test('audit list shows 50 entries unless a limit is given, and says where the next page begins', () =>
  withBot(async (bot) => {
    for (let i = 0; i < 52; i++) bot.audit.append(DRAFT)
    const page = async (...words: string[]) => {
      const { items, next } = (await runJson(bot, 'audit', 'list', ...words)).value as { items: unknown[]; next: unknown }
      return [items.length, next]
    }
    expect(await page('before=53')).toEqual([50, 3])
    expect(await page('before=4', 'limit=2')).toEqual([2, 2])
    expect(await page('before=3', 'limit=2')).toEqual([2, null])
  }))

describe('audit export to a file', () => {
  /** Exports with a writer that keeps what it is given; entries are appended while it writes. */
  const exportTo = async (bot: OpenBot, line: string, isWriter = true) => {
    let text = ''
    const fileWriter = {
      async write(path: string, pieces: AsyncIterable<string | Uint8Array>) {
        for await (const piece of pieces) {
          text += String(piece)
          bot.audit.append(DRAFT)
        }
        return { path: `/home/ann/${path}`, length: text.length }
      },
    }
    const context = bot.context({ name: 'ann', role: 'admin' }, 'console')
    const view = await runLine(isWriter ? { ...context, fileWriter } : context, line)
    return { view, seqs: text.split('\n').flatMap((row) => (row === '' ? [] : [(JSON.parse(row) as { seq: number }).seq])) }
  }

  test('has every entry up to the head of its start, in pages', () =>
    withBot(async (bot) => {
      bot.database.transaction(() => {
        for (let i = 0; i < 1003; i++) bot.audit.append(DRAFT)
      })()
      const { view, seqs } = await exportTo(bot, 'audit export log.jsonl')
      expect(seqs).toEqual(Array.from({ length: 1003 }, (_, i) => i + 1))
      expect(view.text).toStartWith('1003 entries in /home/ann/log.jsonl, ')
      expect(view.fields).toEqual([{ label: 'Last entry', value: expect.stringMatching(/^1003:[0-9a-f]{64}$/) }])
      expect(view.json).toMatchObject({ entries: 1003, last: view.fields[0]?.value })
      const one = await exportTo(bot, 'audit export log.jsonl from=1003')
      expect(one.seqs.slice(0, 2)).toEqual([1003, 1004])
    }))

  test('may begin at the last entry', () =>
    withBot(async (bot) => {
      for (let i = 0; i < 3; i++) bot.audit.append(DRAFT)
      const { view, seqs } = await exportTo(bot, 'audit export log.jsonl from=3')
      expect(seqs).toEqual([3])
      expect([view.fields.length, view.json]).toMatchObject([1, { entries: 1, last: expect.stringMatching(/^3:/) }])
    }))

  test('may have no entry', () =>
    withBot(async (bot) => {
      const { view, seqs } = await exportTo(bot, 'audit export log.jsonl')
      expect([view.text, view.fields, seqs]).toEqual(['0 entries in /home/ann/log.jsonl, 0 B.', [], []])
      expect(view.json).toMatchObject({ entries: 0, last: null })
    }))

  test('has no limit, and is for the console', () =>
    withBot(async (bot) => {
      expect((await exportTo(bot, 'audit export log.jsonl limit=5')).view.text).toBe('limit= applies to pages only.')
      expect((await exportTo(bot, 'audit export log.jsonl', false)).view.text).toBe('Files are written from the console only.')
    }))
})

describe('audit verify', () => {
  test('prints a head that a later run finds again', () =>
    withBot(async (bot) => {
      bot.audit.append(DRAFT)
      const first = await runJson(bot, 'audit', 'verify')
      expect(first).toMatchObject({ code: 0, value: { intact: true, entries: 1 } })
      const again = await runJson(bot, 'audit', 'verify', `head=${String(first.value['head'])}`)
      expect(again).toMatchObject({ code: 0, value: { intact: true, entries: 2 } })
      const other = await runJson(bot, 'audit', 'verify', `head=1:${'0'.repeat(64)}`)
      expect(other).toMatchObject({ code: 1, value: { intact: false, fault: { kind: 'replaced' } } })
      expect((await runCommand(bot, 'audit', 'verify', 'head=1')).output).toContain('head=1 is not a head of the audit log.')
    }))

  test.each([
    ["UPDATE audit SET actor = 'eve' WHERE seq = 2", 'Entry 2 was changed'],
    ['DELETE FROM audit WHERE seq = 2', 'Entry 2 is missing.'],
    ['DELETE FROM audit WHERE seq > 1', 'Entries 2 to 3 are missing.'],
    ['DELETE FROM audit_head', 'The recorded head of the log is missing'],
    ['UPDATE audit_head SET seq = 2', 'Entry 3 was not written by the bot.'],
  ])('fails after %s', (sql, sentence) =>
    withBot(async (bot) => {
      for (let i = 0; i < 3; i++) bot.audit.append(DRAFT)
      bot.database.run('DROP TRIGGER audit_unchanged; DROP TRIGGER audit_kept')
      bot.database.run(sql)
      const { code, output } = await runCommand(bot, 'audit', 'verify')
      expect(code).toBe(1)
      expect(output).toContain(sentence)
    }),
  )
})
