// Collects the evidence of a store into one archive. Each part has a bound in bytes and in time, so that a hung mount path costs its own part
// only. One archive is made at a time.

import { EVIDENCE_BYTES_MAX, evidenceReadme, readPart } from '../../../protocol/evidence.ts'
import type { EvidenceFile, EvidencePart } from '../../../protocol/evidence.ts'
import { errorCode, errorText } from '../../../protocol/errors.ts'
import { problem } from '../../../protocol/problems.ts'
import { formatTime } from '../../../protocol/time.ts'
import type { Evidence } from '../../contract/evidence.ts'
import type { Clock, Log } from '../../contract/runtime.ts'
import type { EmitEvent } from '../../contract/work.ts'

/** How long one part may take, in milliseconds; after that the archive is made without it. */
const PART_MS_MAX = 3000

export interface EvidenceDeps {
  readonly clock: Pick<Clock, 'nowMs' | 'sleep'>
  readonly log: Log
  readonly emit: EmitEvent
  /** Name of the store. */
  readonly store: string
  readonly parts: readonly EvidencePart[]
  /** Texts that may not appear in the archive. */
  readonly secrets: readonly string[]
}

/** Creates the evidence of a store. */
export function createEvidence({ clock, log, emit, store, parts, secrets }: EvidenceDeps): Evidence {
  let isCollecting = false
  /** Parts whose read has not ended since an earlier archive: on a hung disk no second read is started. */
  const hanging = new Set<EvidencePart>()
  const turn = (): Promise<void> => clock.sleep(0)

  const read = async (part: EvidencePart): Promise<EvidenceFile> => {
    const missing = (why: string): EvidenceFile => ({ name: part.name, text: '', about: `missing: ${why}` })
    if (hanging.has(part)) return missing('an earlier read of it has not ended')
    hanging.add(part)
    const work = readPart(part, secrets, turn)
      .catch((error: unknown) => {
        log.warn('a part of the evidence cannot be read', { name: part.name, error })
        return missing(errorCode(error) ?? errorText(error))
      })
      .finally(() => hanging.delete(part))
    const patience = new AbortController()
    const late = clock.sleep(PART_MS_MAX, patience.signal).then(
      () => missing(`it could not be read within ${PART_MS_MAX / 1000} s`),
      () => work,
    )
    const file = await Promise.race([work, late])
    patience.abort()
    return file
  }

  return {
    async collect(actor) {
      if (isCollecting) throw problem('limit-reached', 'Evidence of this store is being collected already.', { action: 'Try again in a few seconds.' })
      isCollecting = true
      try {
        const atMs = clock.nowMs()
        const files = await Promise.all(parts.map(read))
        const head = [`Evidence of the store ${store}`, `Made by its agent at ${formatTime(atMs)}, asked for by ${actor}.`]
        const folder = `slipway-evidence-${fileWord(store)}`
        const readme: EvidenceFile = { name: 'README.txt', text: evidenceReadme(head, files), about: '' }
        const entries = [readme, ...files].map(({ name, text }) => [`${folder}/${name}`, text] as const)
        const bytes = await new Bun.Archive(Object.fromEntries(entries), { compress: 'gzip' }).bytes()
        if (bytes.byteLength > EVIDENCE_BYTES_MAX) throw new Error(`evidence of ${bytes.byteLength} bytes`)
        emit({ type: 'store.evidence', severity: 'info', subject: store, message: `${actor} collected the evidence of the store.`, actor })
        return { name: `slipway-evidence-${fileWord(store)}-${formatTime(atMs).replaceAll(/[:.]/g, '-')}.tar.gz`, bytes }
      } finally {
        isCollecting = false
      }
    },
  }
}

/** The name of a store as a part of a file name. */
function fileWord(name: string): string {
  return name.replaceAll(/[^\w.-]+/g, '_').slice(0, 63)
}
