// The plan of an import or an upload as an answer: where, how much, what it will be, and what limits apply.

import type { ImportPlan } from '../../../protocol/images/imports.ts'
import { formatTime } from '../../../protocol/time.ts'
import { formatBytes } from '../../../protocol/views/phrases.ts'
import { makeView } from '../../../protocol/views/view.ts'
import type { Field, View } from '../../../protocol/views/view.ts'
import type { CommandContext } from '../command.ts'

export interface PlanShown {
  readonly title: string
  readonly plan: ImportPlan
  /** The command that starts it; undefined when it would contain a secret. */
  readonly again: string | undefined
  /** The import was asked for, and not only its plan. */
  readonly isRun: boolean
}

/** Returns a plan as an answer, with a button that starts the import if it is possible. */
export function planView(context: CommandContext, { title, plan, again, isRun }: PlanShown): View {
  const isPossible = plan.objections.length === 0
  const asOfMs = context.clock.nowMs()
  const start = again !== undefined && isPossible ? [{ label: 'Import', command: `${again} --start`, role: 'uploader', style: 'primary' } as const] : []
  return makeView({
    title,
    outcome: isRun ? 'refused' : 'done',
    tone: isPossible ? 'plain' : 'bad',
    text: isPossible ? `${planSummary(plan)} Nothing was started.` : `Not possible now. ${plan.objections.join(' ')} Nothing was started.`,
    fields: planFields(plan),
    actions: start,
    asOfMs,
    json: { ...plan, asOf: formatTime(asOfMs) },
  })
}

function planFields({ source, image, space, limits }: ImportPlan): Field[] {
  const needs = space.neededBytes === null ? 'not known before the end' : formatBytes(space.neededBytes)
  return [
    { label: 'From', value: source.location },
    { label: 'Length', value: source.length === null ? 'the source does not tell' : formatBytes(source.length) },
    { label: 'After a cut', value: source.canResume ? 'continues where it ended' : 'reads from the beginning' },
    {
      label: 'Image',
      value: [
        image.name,
        ...(image.kind ? [image.kind] : []),
        ...(image.format ? [image.format] : []),
        ...(image.owner ? [`of ${image.owner}`] : []),
        ...(image.decompress ? ['what the file unpacks to'] : []),
      ].join(', '),
    },
    { label: 'Digest', value: image.digest ?? 'none given, so only the inspection decides' },
    {
      label: 'Space',
      value: `needs at most ${needs}${image.decompress ? ', and what it unpacks to' : ''}; ${formatBytes(space.availableBytes)} above the reserve`,
    },
    {
      label: 'Limits',
      value: `${formatBytes(limits.lengthMax)} for an image${limits.imagesPerOwnerMax > 0 ? `, ${limits.imagesPerOwnerMax} images for an owner` : ''}${limits.bytesPerOwnerMax > 0 ? `, ${formatBytes(limits.bytesPerOwnerMax)} for all images of an owner` : ''}`,
    },
  ]
}

/** Returns what a plan reads and what it needs, in one sentence. */
export function planSummary({ source, space }: ImportPlan): string {
  const length = source.length === null ? 'a length that the source does not tell' : formatBytes(source.length)
  return `Reads ${length} from ${source.location}; the store has ${formatBytes(space.availableBytes)} above its reserve.`
}
