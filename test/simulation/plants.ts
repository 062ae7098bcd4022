// Defects that the simulation must find: each changes one place of one module while it is loaded. A simulation that finds nothing proves
// nothing until it has found these.

import type { Replacement } from './world/modules.ts'

export interface Plant {
  /** What the agent does wrong. */
  readonly name: string
  readonly replacements: readonly Replacement[]
  /** Too rare for CI: only run by hand. */
  readonly isRare?: boolean
  /** Words of a violation that shows it. */
  readonly symptom: RegExp
  /** The seed with which CI begins, 1 by default: those before it find nothing and take long. */
  readonly from?: number
}

const JOURNAL_WRITE = `await file.write(
        records.map(({ bytes }) => bytes),
        state.end.at,
      )
      await file.sync()`

export const PLANTS: Readonly<Record<string, Plant>> = {
  'journal-not-synced': {
    name: 'does not sync the journals of uploads',
    replacements: [{ module: '/agent/uploads/record/journal.ts', sound: JOURNAL_WRITE, planted: JOURNAL_WRITE.replace('await file.sync()', '') }],
    symptom: /bytes were acknowledged|must exist|can only be/,
  },
  'offset-from-memory': {
    name: 'acknowledges offsets before their journal is written',
    replacements: [
      {
        module: '/agent/uploads/record/journal.ts',
        sound: JOURNAL_WRITE,
        planted: JOURNAL_WRITE.replace('await file.write', 'void file.write').replace('await file.sync()', ''),
      },
    ],
    symptom: /bytes were acknowledged|must exist|can only be/,
  },
  'pack-not-synced': {
    name: 'does not sync packs before a journal names their slices',
    replacements: [{ module: '/agent/slices/write/pack-writer.ts', sound: 'pack.syncing = pack.file.sync()', planted: 'pack.syncing = Promise.resolve()' }],
    symptom: /degraded|cannot be read|must be readable|error/,
  },
  'folders-not-synced': {
    name: 'does not sync a folder after a rename',
    replacements: [
      { module: '/world/simulated-disk.ts', sound: 'await this.#syncFolder(dirname(to))', planted: '' },
      { module: '/world/simulated-disk.ts', sound: 'await this.#syncFolder(dirname(path)) // The new name.', planted: '' },
    ],
    symptom: /can only be|must exist|torn/,
  },
  'replaced-in-place': {
    name: 'overwrites files instead of replacing them',
    replacements: [
      {
        module: '/world/simulated-disk.ts',
        sound: 'const temporary = `${dirname(path)}/.${basename(path)}.${this.#temporaries++}.tmp`',
        planted:
          'if (this.#find(path)) return this.overwrite(path, bytes)\n    const temporary = `${dirname(path)}/.${basename(path)}.${this.#temporaries++}.tmp`',
      },
    ],
    isRare: true,
    symptom: /can only be|must exist|error|torn|cannot start/,
  },
  'pins-ignored': {
    name: 'lets gc remove slices that an upload has just stored or found',
    replacements: [
      {
        module: '/agent/slices/gc/gc.ts',
        sound: '(digest) => named.has(digest) || watch.isTouched(digest), options',
        planted: '(digest) => named.has(digest), options',
      },
      { module: '/agent/slices/gc/gc.ts', sound: 'watch.isTouched(digest) || marked?.has(digest) === true', planted: 'marked?.has(digest) === true' },
    ],
    symptom: /degraded|cannot be read|must be readable|error/,
    from: 51,
  },
  'leases-ignored': {
    name: 'lets gc remove slices that a sync has moved',
    replacements: [{ module: '/agent/commands/parts/store-slices.ts', sound: "{ list: () => late.get('sync').roots.list() }", planted: '{ list: () => [] }' }],
    isRare: true,
    symptom: /degraded|cannot be read|must be readable|error/,
  },
  'bin-ignored': {
    name: 'lets gc remove the slices of images in the recycle bin',
    replacements: [
      {
        module: '/agent/images/roots.ts',
        sound: 'for (const { image } of deps.keeper.table.all()) yield imageRoot(deps, image.id)',
        planted: "for (const { image } of deps.keeper.table.all()) if (image.status !== 'deleted') yield imageRoot(deps, image.id)",
      },
    ],
    symptom: /degraded|cannot be read|must be readable|error/,
  },
  'digest-not-verified': {
    name: 'does not verify the digest of a slice that another store sent',
    replacements: [{ module: '/agent/slices/write/receiver.ts', sound: 'if (digest.compare(frame.digest) !== 0) throw mismatch()', planted: '' }],
    symptom: /other bytes|degraded|cannot be read|error/,
  },
  'batch-not-synced': {
    name: 'publishes a copied image before its slices are durable',
    replacements: [{ module: '/agent/sync/sources/move-batches.ts', sound: 'await receiver.sync()', planted: '' }],
    symptom: /degraded|cannot be read|must be readable|error/,
  },
  'published-twice': {
    name: 'publishes an upload under another id after a crash',
    replacements: [
      {
        module: '/agent/uploads/complete.ts',
        sound: 'const image = newImageOf(file)',
        planted: "const image = { ...newImageOf(file), ...(signal ? { id: newId('img', context.clock.nowMs()) } : {}) }",
      },
      {
        module: '/agent/uploads/complete.ts',
        sound: "import { isWhole, newImageOf } from './record/upload.ts'",
        planted: "import { isWhole, newImageOf } from './record/upload.ts'\nimport { newId } from '../../protocol/ids.ts'",
      },
    ],
    symptom: /two images|became|can only be/,
  },
  'restored-purged': {
    name: 'purges an image that was restored after the plan was made',
    replacements: [
      {
        module: '/agent/images/removal.ts',
        sound: 'if (!stored || planPrune([stored.image], clock.nowMs(), deps.retention()).purge.length === 0) return false',
        planted: 'if (!stored) return false',
      },
    ],
    isRare: true,
    symptom: /is gone, but can only be/,
  },
  'task-runs-again': {
    name: 'runs a task again that had ended before a restart',
    replacements: [{ module: '/agent/tasks/tasks.ts', sound: 'this.#table.update(row)\n        this.#table.prune(', planted: 'this.#table.prune(' }],
    symptom: /had succeeded and is|had failed and is|does not end/,
  },
  'database-not-synced': {
    name: "does not sync what must last in the agent's database",
    replacements: [{ module: '/agent/tasks/database.ts', sound: "sql.run('PRAGMA synchronous = FULL')", planted: '' }],
    symptom: /is not known any more|was created and is gone|was deleted and is back|is answered with|had \w+ and is/,
  },
  'quarantine-forgotten': {
    name: 'relies on damaged records again once the index is rebuilt',
    replacements: [
      {
        module: '/agent/slices/rebuild/recover.ts',
        sound: 'contents.rows.filter((row) => !deps.quarantine.has(row.digest, name, row.offset)),',
        planted: 'contents.rows,',
      },
      {
        module: '/agent/slices/rebuild/recover.ts',
        sound: 'for (const { digest, pack, offset } of quarantine.all()) {',
        planted: 'for (const { digest, pack, offset } of [...quarantine.all()].slice(0, 0)) {',
      },
    ],
    isRare: true,
    symptom: /degraded|cannot be read|must be readable|error/,
  },
}
