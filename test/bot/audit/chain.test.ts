// The hash chain of the audit log: known hashes, every single mutation of a row, and the log as another program verifies it.

import { Database } from 'bun:sqlite'
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import fc from 'fast-check'
import { writeFileSync } from 'node:fs'
import { createAudit } from '../../../bot/audit/audit.ts'
import type { Audit, AuditDraft } from '../../../bot/audit/audit.ts'
import { CHAIN_START, rowHash } from '../../../bot/audit/chain.ts'
import { PAGE_ROWS, verifyChain } from '../../../bot/audit/verify.ts'
import type { ChainVerdict } from '../../../bot/audit/verify.ts'
import { chainEarlierRows } from '../../../bot/system/audit-migration.ts'
import { openMemoryDatabase } from '../../../bot/system/database.ts'
import { systemClock } from '../../../bot/system/clock.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { propertyOptions } from '../../support/properties.ts'
import { requireTool } from '../../support/require.ts'
import { openTestBot, runCommand, runJson } from '../fixture.ts'

// Processes on a busy machine take longer than the 5 s of the runner.
setDefaultTimeout(60_000)

const DRAFT: AuditDraft = {
  timeMs: 1_700_000_000_000,
  actor: 'ada (U1)',
  surface: 'slack',
  command: 'store list',
  target: 'edge-a',
  outcome: 'done',
  detail: 'Stores',
}

/** An audit log in memory with this many rows, which differ. */
function logOf(count: number): { audit: Audit; database: Database } {
  const database = openMemoryDatabase()
  const audit = createAudit(database)
  database.transaction(() => {
    for (let i = 1; i <= count; i++)
      audit.append({ ...DRAFT, timeMs: DRAFT.timeMs + i, command: `store show edge-${i}`, role: 'viewer', channel: 'C1', via: 'button', begunSeq: i - 1 })
  })()
  return { audit, database }
}

/** Removes what protects the log from defects of the bot; whoever can write the file can do so. */
function unlock(database: Database): void {
  database.run('DROP TRIGGER audit_unchanged; DROP TRIGGER audit_kept')
}

const verify = (audit: Audit, kept?: { seq: number; hash: string }): Promise<ChainVerdict> => verifyChain(audit, systemClock, kept)

describe('the hash of a row', () => {
  test('is that of the documented encoding', () => {
    const row = { ...DRAFT, seq: 1, role: 'viewer', channel: 'C1', via: 'typed', effect: 'read', begunSeq: 0 }
    // Computed with json and hashlib of Python.
    expect(rowHash(CHAIN_START.hash, row)).toBe('9a07dcfe4d4ada0ab951be728b45f8de739bae10b1e04ff421664ba6a2be3cbc')
  })
})

describe('a log', () => {
  test.each([0, 1, PAGE_ROWS - 1, PAGE_ROWS, PAGE_ROWS + 1, 2 * PAGE_ROWS])('of %p rows is intact, with its head', async (count) => {
    const { audit } = logOf(count)
    const verdict = await verify(audit)
    expect(verdict).toEqual({ kind: 'intact', head: audit.head() ?? CHAIN_START })
    expect(audit.head()?.seq).toBe(count)
  })

  test('refuses changes and removals by a defect of the bot', () => {
    const { database } = logOf(2)
    expect(() => database.run(`UPDATE audit SET detail = 'x' WHERE seq = 1`)).toThrow('only appended to')
    expect(() => database.run('DELETE FROM audit WHERE seq = 2')).toThrow('only appended to')
  })

  test('keeps texts as SQLite returns them: control characters, lone surrogates and lengths', async () => {
    const { audit } = logOf(0)
    audit.append({ ...DRAFT, actor: 'a'.repeat(300), command: `x\u0000\u001b[2J\n\ud800${'y'.repeat(3000)}`, detail: '\udc00'.repeat(2000), target: '\u2028' })
    const [row] = audit.page(undefined, 10).rows
    expect(row?.actor).toBe(`${'a'.repeat(199)}…`)
    expect(row?.command).toHaveLength(2000)
    expect(row?.command).toStartWith('x  [2J \ufffdyyy')
    expect(row?.detail).toHaveLength(1000)
    expect(row?.target).toBe(' ')
    expect((await verify(audit)).kind).toBe('intact')
  })

  test('shows any single change of a column', async () => {
    const texts = ['actor', 'role', 'surface', 'channel', 'via', 'effect', 'command', 'target', 'outcome', 'detail', 'hash'] as const
    const numbers = ['seq', 'time_ms', 'begun_seq'] as const
    const change = fc.oneof(
      fc.record({ column: fc.constantFrom(...texts), value: fc.string({ unit: 'grapheme' }) }),
      fc.record({ column: fc.constantFrom(...numbers), value: fc.oneof(fc.integer(), fc.maxSafeInteger()) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6 }), change, async (seq, { column, value }) => {
        const { audit, database } = logOf(6)
        unlock(database)
        const before = database.query<Record<string, unknown>, [number]>('SELECT * FROM audit WHERE seq = ?').get(seq)
        const stored = typeof value === 'string' ? value.replaceAll('\u0000', ' ').toWellFormed() : value
        fc.pre(before?.[column] !== stored)
        // The number of another row is a collision, which SQLite refuses.
        fc.pre(column !== 'seq' || typeof value === 'string' || value < 1 || value > 6)
        database.query(`UPDATE audit SET ${column} = ? WHERE seq = ?`).run(stored, seq)
        expect((await verify(audit)).kind).toBe('broken')
      }),
      propertyOptions(200),
    )
  })

  test.each<[string, string, Record<string, unknown>]>([
    ['a row that was removed', 'DELETE FROM audit WHERE seq = 3', { kind: 'missing', seq: 3, to: 3 }],
    ['the first rows', 'DELETE FROM audit WHERE seq < 3', { kind: 'missing', seq: 1, to: 2 }],
    ['the last rows', 'DELETE FROM audit WHERE seq > 4', { kind: 'missing', seq: 5, to: 6 }],
    ['all rows', 'DELETE FROM audit', { kind: 'missing', seq: 1, to: 6 }],
    [
      'a row before the first',
      'INSERT INTO audit SELECT -1, time_ms, actor, role, surface, channel, via, effect, command, target, outcome, detail, begun_seq, hash FROM audit WHERE seq = 1',
      { kind: 'added', seq: -1 },
    ],
    [
      'a row behind the last',
      'INSERT INTO audit SELECT 7, time_ms, actor, role, surface, channel, via, effect, command, target, outcome, detail, begun_seq, hash FROM audit WHERE seq = 1',
      { kind: 'changed', seq: 7 },
    ],
    [
      'a row in place of another',
      'DELETE FROM audit WHERE seq = 2; INSERT INTO audit SELECT 2, time_ms, actor, role, surface, channel, via, effect, command, target, outcome, detail, begun_seq, hash FROM audit WHERE seq = 3',
      { kind: 'changed', seq: 2 },
    ],
    [
      'two rows that were swapped',
      'UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 99',
      { kind: 'changed', seq: 2 },
    ],
    ['rows that moved up', 'DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = seq - 1 WHERE seq > 2', { kind: 'changed', seq: 2 }],
    ['a head that was removed', 'DELETE FROM audit_head', { kind: 'head', seq: 6 }],
    ['a head that was moved back', 'UPDATE audit_head SET seq = 5', { kind: 'added', seq: 6 }],
    ['a head that was moved on', 'UPDATE audit_head SET seq = 8', { kind: 'missing', seq: 7, to: 8 }],
    ['a head with another hash', `UPDATE audit_head SET hash = '${'0'.repeat(64)}'`, { kind: 'head', seq: 6 }],
  ])('shows %s', async (_what, sql, fault) => {
    const { audit, database } = logOf(6)
    unlock(database)
    database.run(sql)
    expect(await verify(audit)).toMatchObject({ kind: 'broken', fault })
    // The log continues, and what was changed in its rows stays visible.
    audit.append(DRAFT)
    if (!sql.startsWith('UPDATE audit_head SET seq = 5')) expect((await verify(audit)).kind).toBe('broken')
  })

  test('cut with its head and continued fits, but no longer contains a head that was kept', async () => {
    const { audit, database } = logOf(6)
    const kept = audit.head() ?? CHAIN_START
    const earlier = audit.page(3, 1).rows[0]
    unlock(database)
    const [, , third] = audit.page(undefined, 3).rows
    database.run('DELETE FROM audit WHERE seq > 3')
    database.query('UPDATE audit_head SET seq = 3, hash = ?').run(third?.hash ?? '')
    for (let i = 0; i < 4; i++) audit.append({ ...DRAFT, detail: 'another' })
    expect((await verify(audit)).kind).toBe('intact')
    expect((await verify(audit, kept)).kind).toBe('replaced')
    expect((await verify(audit, { seq: 4, hash: earlier?.hash ?? '' })).kind).toBe('replaced')
    expect((await verify(audit, { seq: 3, hash: third?.hash ?? '' })).kind).toBe('intact')
    expect((await verify(audit, CHAIN_START)).kind).toBe('intact')
  })
})

describe('a database of an earlier version', () => {
  test('is chained in its order, with a row that says so', async () => {
    using database = new Database(':memory:', { strict: true })
    database.run(`CREATE TABLE audit (seq INTEGER PRIMARY KEY AUTOINCREMENT, time_ms INTEGER NOT NULL, actor TEXT NOT NULL, surface TEXT NOT NULL,
      command TEXT NOT NULL, target TEXT NOT NULL, outcome TEXT NOT NULL, detail TEXT NOT NULL) STRICT`)
    const insert = database.query('INSERT INTO audit (time_ms, actor, surface, command, target, outcome, detail) VALUES (?, ?, ?, ?, ?, ?, ?)')
    for (let i = 1; i <= 1203; i++) insert.run(i, 'ann', 'console', `store enable s${i}`, `s${i}`, 'done', 'Done')
    database.run('DELETE FROM audit WHERE seq IN (5, 6)')
    database.transaction(() => chainEarlierRows(database)).immediate()
    const audit = createAudit(database)
    expect((await verify(audit)).kind).toBe('intact')
    expect(audit.page(undefined, 6).rows.map(({ seq, command }) => [seq, command])).toEqual([
      [1, 'store enable s1'],
      [2, 'store enable s2'],
      [3, 'store enable s3'],
      [4, 'store enable s4'],
      [5, 'store enable s7'],
      [6, 'store enable s8'],
    ])
    expect(audit.list({ limit: 1 })).toMatchObject([
      { seq: 1202, actor: 'bot', detail: 'The hash chain begins: 1201 earlier rows were taken over as they were; 2 more had been removed.' },
    ])
  })
})

describe('an export', () => {
  const verifier = `import hashlib, json, sys
previous = "0" * 64
for line in open(sys.argv[1], encoding="utf-8"):
    row = json.loads(line)
    columns = [row[name] for name in ("seq", "timeMs", "actor", "role", "surface", "channel", "via", "effect", "command", "target", "outcome", "detail", "begunSeq")]
    text = json.dumps(["slipway-audit-1", previous] + columns, ensure_ascii=False, separators=(",", ":"))
    previous = hashlib.sha256(text.encode()).hexdigest()
    if previous != row["hash"]: sys.exit(f"row {row['seq']} does not fit")
print(previous)
`

  requireTool('python3', 'python3')('is verified by the program in the documentation', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    for (const words of [['store', 'list'], ['store', 'enable', 'größer "<&>" \u007f名'], ['audit', 'verify'], ['nothing']]) await runCommand(bot, ...words)
    const path = folder.file('audit.jsonl')
    const { code, value } = await runJson(bot, 'audit', 'export', path)
    expect([code, value['entries']]).toEqual([0, 5])
    writeFileSync(folder.file('verify.py'), verifier)
    const run = (file: string) => Bun.spawnSync(['python3', folder.file('verify.py'), file])
    expect(run(path).stdout.toString().trim()).toBe(String(value['last']).split(':')[1] ?? '')
    const text = await Bun.file(path).text()
    writeFileSync(folder.file('changed.jsonl'), text.replace('"outcome":"failed"', '"outcome":"done"'))
    expect(run(folder.file('changed.jsonl')).stderr.toString()).toContain('does not fit')
    expect(await Bun.file('docs/slack.md').text()).toContain(verifier)
    // An export never replaces a file.
    expect((await runCommand(bot, 'audit', 'export', path)).output).toContain('exists')
    expect(await Bun.file(path).text()).toBe(text)
  })

  test('is paged, and its pages continue one another', async () => {
    await using folder = await createTemporaryFolder()
    using bot = openTestBot(folder.path)
    for (let i = 0; i < 5; i++) bot.audit.append({ ...DRAFT, detail: `${i}` })
    const first = await runJson(bot, 'audit', 'export', 'limit=2')
    expect(first.value['items']).toMatchObject([{ seq: 1 }, { seq: 2 }])
    expect(first.value['next']).toBe(3)
    const second = await runJson(bot, 'audit', 'export', 'from=4', 'limit=1000')
    expect(second.value['items']).toMatchObject([{ seq: 4 }, { seq: 5 }, { seq: 6, command: 'audit export limit=2' }])
    expect(second.value['next']).toBeNull()
    expect((await runJson(bot, 'audit', 'export', 'limit=1001')).code).toBe(1)
    expect((await runJson(bot, 'audit', 'export', 'from=0')).code).toBe(1)
  })
})
