// The plan of `store delete`: what each store runs and holds, what exists only there, what names it, and what is copied and changed before it is removed.

import type { Image } from '../../../../protocol/images/image.ts'
import type { Observation } from '../../../fleet/judge.ts'
import type { StoreRecord } from '../../../fleet/registry.ts'
import type { PlanPromise } from '../../../approvals/plans.ts'
import { formatBytes, plural, stateWord } from '../../../../protocol/views/phrases.ts'
import type { ChecklistItem } from '../../../../protocol/views/view.ts'
import type { CommandContext } from '../../command.ts'
import { copyDuration } from '../../plan-promises.ts'
import { checkStore, IMAGES_READ_MAX } from './delete-checks.ts'
import type { StoreChecks } from './delete-checks.ts'
import { findRemaining, namedImages } from './delete-copies.ts'
import type { LeavingImage, Remaining } from './delete-copies.ts'
import { bindingCheck, bindingsOf, findOrigins, hypervisorCheck, originCheck, policiesOf, policyCheck } from '../edit/repoint.ts'
import type { MovedBinding } from '../edit/repoint.ts'

export interface DeleteOrder {
  readonly stores: readonly Observation[]
  readonly isUnreachableAllowed: boolean
  /** Gets the images that exist only in the removed stores. */
  readonly copyTo: Observation | undefined
  /** Is named by policies and bindings instead of the removed stores. */
  readonly repointTo: Observation | undefined
}

export interface DeletePlan {
  readonly items: readonly ChecklistItem[]
  /** When it changes, the plan has changed. */
  readonly essence: readonly string[]
  readonly promises: readonly PlanPromise[]
  /** Images to copy before the stores are removed, by target. */
  readonly copies: readonly PlannedCopies[]
  readonly bindings: readonly MovedBinding[]
  readonly remaining: Remaining
  readonly notes: readonly string[]
}

export interface PlannedCopies {
  readonly target: StoreRecord
  readonly images: readonly LeavingImage[]
}

/** Asks the stores and plans their removal. */
export async function planDelete(context: CommandContext, order: DeleteOrder): Promise<DeletePlan> {
  const { stores, copyTo, repointTo } = order
  const checks = await Promise.all(stores.map((seen) => checkStore(context, seen, order.isUnreachableAllowed)))
  const leaving = stores.map(({ record }, i) => leavingImages(record, checks[i]?.images ?? []))
  const names = new Set(stores.map(({ record }) => record.name))
  const staying = context.fleet.registry.list().filter(({ name }) => !names.has(name))
  const absent = checks.map(({ held }) => (held ?? []).filter(hasBytes).map((image) => ({ image })))
  const remaining = await findRemaining(context, [...leaving.flat(), ...absent.flat()], staying)
  const sole = leaving.map((images) => images.filter(({ image }) => remaining.copiesOf(image).length === 0))
  const { origins, gaps } = await findOrigins(context, staying)
  const isAt = (target: Observation, { image }: LeavingImage): boolean => remaining.copiesOf(image).some(({ store }) => store === target.record.name)
  // A binding needs the image in the store that it moves to.
  const bound = leaving.flat().filter(({ image }) => image.bindings.length > 0)
  const wanted = [
    ...(copyTo ? [{ seen: copyTo, images: sole.flat() }] : []),
    ...(repointTo ? [{ seen: repointTo, images: bound.filter((one) => !isAt(repointTo, one)) }] : []),
  ]
  const targets = [...Map.groupBy(wanted, ({ seen }) => seen.record.name).values()].flatMap(([first, second]) =>
    first ? [{ seen: first.seen, images: [...new Set([...first.images, ...(second?.images ?? [])])] }] : [],
  )
  const items = stores.flatMap((seen, i) => [
    ...(checks[i]?.items ?? []),
    soleCheck(
      seen.record,
      {
        images: checks[i]?.images ?? null,
        sole: sole[i] ?? [],
        isKnown: checks[i]?.held !== null,
        lost: (absent[i] ?? []).filter(({ image }) => remaining.copiesOf(image).length === 0),
      },
      copyTo?.record,
    ),
    policyCheck(seen.record, policiesOf(context, seen.record), repointTo?.record),
    originCheck(seen, origins, repointTo?.record),
    hypervisorCheck(context, seen.record, repointTo?.record),
    ...(repointTo ? [bindingCheck(seen.record, bindingsOf(leaving[i] ?? []), repointTo.record)] : []),
  ])
  return {
    items: [...items, ...targets.map(({ seen, images }) => targetCheck(seen, images))],
    promises: [
      ...stores.map(({ record }, i) => heldPromise(record, checks[i]?.images ?? checks[i]?.held ?? null, checks[i]?.held !== null)),
      ...(await copyPromises(context, targets)),
    ],
    essence: [
      ...stores.map(({ record }) => record.storeId ?? record.url),
      ...absent.flatMap((images, i) =>
        images.flatMap(({ image }) => (remaining.copiesOf(image).length === 0 ? [`${image.id} was only in ${stores[i]?.record.name}`] : [])),
      ),
      ...sole.flatMap((images, i) => images.map(({ image }) => `${image.id} only in ${stores[i]?.record.name}`)),
      ...checks.flatMap((check) => check.bound),
      ...stores.flatMap(({ record }) => context.hypervisors.of(record.name).map((name) => `${name} is bound to ${record.name}`)),
      ...targets.flatMap(({ seen, images }) => images.map(({ image }) => `${image.id} ${seen.record.name}`)),
    ],
    copies: targets.map(({ seen, images }) => ({ target: seen.record, images })),
    bindings: repointTo ? leaving.flatMap(bindingsOf) : [],
    remaining,
    notes: [...new Set([...remaining.gaps, ...gaps])],
  }
}

/** What the bot would no longer list, watch and copy. */
function heldPromise({ name }: StoreRecord, images: readonly Pick<Image, 'length'>[] | null, isFromCatalogue: boolean): PlanPromise {
  const label = `Held by ${name}`
  if (images === null) return { label, value: 'not known: it does not answer' }
  const count = images.length >= IMAGES_READ_MAX ? `${IMAGES_READ_MAX} images or more` : plural(images.length, 'image')
  const length = images.reduce((sum, image) => sum + image.length, 0)
  return {
    label,
    value:
      images.length === 0 ? 'no image' : `${count}, ${formatBytes(length)} long; ${isFromCatalogue ? 'as the bot last knew them' : 'they stay on its disk'}`,
  }
}

async function copyPromises(
  context: CommandContext,
  targets: readonly { readonly seen: Observation; readonly images: readonly LeavingImage[] }[],
): Promise<PlanPromise[]> {
  const copied = targets.filter(({ images }) => images.length > 0)
  if (copied.length === 0) return [{ label: 'Duration', value: 'about 1 s', isEstimate: true }]
  return Promise.all(
    copied.map(async ({ seen, images }) => {
      const promise = await copyDuration(context, seen.record, bytesOf(images))
      return { ...promise, label: `Duration of the copies to ${seen.record.name}` }
    }),
  )
}

function bytesOf(images: readonly LeavingImage[]): number {
  return images.reduce((sum, { image }) => sum + (image.storedSize ?? image.length), 0)
}

/** Images with bytes; the others stay behind. */
function leavingImages(store: StoreRecord, images: NonNullable<StoreChecks['images']>): LeavingImage[] {
  return images.flatMap((image) => (hasBytes(image) ? [{ store, image }] : []))
}

function hasBytes({ status }: Pick<Image, 'status'>): boolean {
  return status === 'available' || status === 'degraded'
}

interface Found {
  readonly images: StoreChecks['images']
  readonly sole: readonly LeavingImage[]
  /** Whether the catalogue knows what a store held that does not answer, and which of these images no other store has. */
  readonly isKnown: boolean
  readonly lost: readonly { readonly image: Pick<Image, 'name'> }[]
}

function soleCheck({ name }: StoreRecord, { images, sole, isKnown, lost }: Found, target: StoreRecord | undefined): ChecklistItem {
  const label = `Images only in ${name}`
  if (images === null)
    return target
      ? { label, passed: false, detail: `${name} does not answer, so nothing can be copied from it; leave out copy-to=` }
      : { label, passed: true, detail: isKnown ? lostText(lost) : 'unknown' }
  if (target && images.length >= IMAGES_READ_MAX)
    return { label, passed: false, detail: `${name} has ${IMAGES_READ_MAX} images or more; copy them with a policy first, and leave out copy-to=` }
  if (sole.length === 0) return { label, passed: true, detail: 'none' }
  const there = namedImages(sole)
  return target
    ? { label, passed: true, detail: `${there}: they are copied to ${target.name} before ${name} is removed` }
    : { label, passed: true, detail: `${there}: no other store has them; add copy-to=S to copy them to another store first` }
}

/** The images that would be lost with a store that does not answer, as far as the catalogue knows. */
function lostText(lost: Found['lost']): string {
  return lost.length === 0
    ? 'none that the bot knows of'
    : `${namedImages(lost)}: no other store that answers has them, and nothing can be copied while the store does not answer`
}

/** Whether a store may take what it is to get. */
function targetCheck({ record, state, finding, store }: Observation, images: readonly LeavingImage[]): ChecklistItem {
  const label = `Copies to ${record.name}`
  const bytes = bytesOf(images)
  const obstacle = (): string | undefined => {
    if (!store || state === 'stopped' || state === 'error') return `${record.name} is ${stateWord(state)}: ${finding}`
    if (images.length === 0) return undefined
    if (!store.enabled) return `${record.name} is disabled; run store enable ${record.name}`
    if (store.imagesEnabled === false) return `images are switched off in ${record.name}; run store edit ${record.name} images=on`
    const free = store.capacity.available
    return bytes > free ? `they need up to ${formatBytes(bytes)}, and ${record.name} has ${formatBytes(free)} above its reserve` : undefined
  }
  const refusal = obstacle()
  if (refusal !== undefined) return { label, passed: false, detail: refusal }
  return { label, passed: true, detail: images.length === 0 ? 'none' : `${plural(images.length, 'image')}, up to ${formatBytes(bytes)}` }
}
