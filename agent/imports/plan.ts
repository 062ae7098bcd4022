// Plans: what an import or an upload would read, how much space it needs, and why it would fail now. A plan changes nothing.

import { newId } from '../../protocol/ids.ts'
import type { ImportPlan } from '../../protocol/images/imports.ts'
import { problem } from '../../protocol/problems.ts'
import { formatSize } from '../../protocol/units.ts'
import { problemOf } from '../contract/failures.ts'
import { filenameOf, splitSecret } from './import-params.ts'
import type { ImportOrder, ImportsDeps } from './imports.ts'
import { SourceInterrupted } from './source.ts'
import type { ImportScheme, OpenSource } from './source.ts'

type PlanDeps = Pick<ImportsDeps, 'space' | 'gate' | 'rules' | 'images' | 'limits' | 'clock' | 'random'>

/** What is known of an image before its bytes; no origin for an upload. */
type PlannedOrder = Pick<ImportOrder, 'draft' | 'creator'> & Partial<Pick<ImportOrder, 'origin'>>

/** Returns what an import would do. Reads the facts of the source. Throws ProblemError when the source is not allowed or cannot be opened. */
export async function planImport(deps: PlanDeps, order: ImportOrder, scheme: ImportScheme, signal: AbortSignal): Promise<ImportPlan> {
  const { location, credentials, origin } = order
  await scheme.check(location)
  await using source = await openOnce(() => scheme.source(location, credentials).open(signal))
  const { length, filename, canResume } = source.facts
  const open = splitSecret(location, {}).location
  const named = filename ?? filenameOf(open)
  return planOf(deps, order, { kind: origin, location: open.kind === 'url' ? open.url : open.path, filename: named, length, canResume })
}

/** Returns what an upload would do. */
export function planUpload(deps: PlanDeps, { length, ...order }: Pick<ImportOrder, 'draft' | 'creator'> & { readonly length: number }): Promise<ImportPlan> {
  return planOf(deps, order, { kind: 'upload', location: 'the client', filename: null, length, canResume: true })
}

async function planOf(deps: PlanDeps, order: PlannedOrder, source: ImportPlan['source']): Promise<ImportPlan> {
  const { availableBytes } = await deps.space.state()
  const { length } = source
  return {
    dryRun: true,
    source,
    image: order.draft,
    space: { neededBytes: length, availableBytes },
    limits: deps.limits,
    objections: objections(deps, order, { length, availableBytes }),
  }
}

/** Opens a source without a second attempt. */
async function openOnce(open: () => Promise<OpenSource>): Promise<OpenSource> {
  try {
    return await open()
  } catch (error) {
    if (error instanceof SourceInterrupted) throw problem('source-unreachable', `The source cannot be read: ${error.message}.`, {}, { cause: error })
    throw error
  }
}

/** Returns why it would fail now, one sentence each. */
function objections(
  { gate, rules, images, limits: { lengthMax }, clock, random }: PlanDeps,
  { draft, creator, origin }: PlannedOrder,
  { length, availableBytes }: { readonly length: number | null; readonly availableBytes: number },
): string[] {
  const found: string[] = []
  const check = (step: () => void): void => {
    try {
      step()
    } catch (error) {
      found.push(problemOf(error).problem.detail)
    }
  }
  check(() => gate.requireEnabled())
  check(() => rules.admitDraft(draft, creator, origin))
  check(() => images.admit({ id: newId('img', clock.nowMs(), random(16)), owner: draft.owner ?? null, length: length ?? 0 })[Symbol.dispose]())
  if (length !== null && length > lengthMax) found.push(`The source has ${formatSize(length)}; the store accepts at most ${formatSize(lengthMax)}.`)
  if (length !== null && length > availableBytes)
    found.push(`The source has ${formatSize(length)}; the store has ${formatSize(availableBytes)} above its reserve.`)
  return found
}
