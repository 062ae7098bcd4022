// Publication: the moment an image comes to the catalogue, and its way from `creating` to `available` or `error`.
//
//   manifest durable → image.json durable (creating) → inspection → expected digest read back → available | error
//
// A crash anywhere leaves either nothing of the image but slices, or an image that the next start takes up where it was.

import { errorText } from '../../protocol/errors.ts'
import { SliceUnreadable } from '../contract/slices.ts'
import type { SliceMaintenance, SliceProvider } from '../contract/slices.ts'
import type { ImagePublisher } from '../contract/images.ts'
import type { Clock, CrashPoint, Log } from '../contract/runtime.ts'
import type { Disk } from '../contract/disk.ts'
import type { EmitEvent } from '../contract/work.ts'
import { isId } from '../../protocol/ids.ts'
import type { Image } from '../../protocol/image.ts'
import type { Manifest } from '../../protocol/manifest.ts'
import { problem, PROBLEMS } from '../../protocol/problems.ts'
import { rootName, SLICES_ACTION } from './damage.ts'
import type { Damage } from './damage.ts'
import { diskProblem } from './disk-problem.ts'
import type { ImageProbe } from './inspection/formats/format.ts'
import type { StoredImage } from './image-file.ts'
import type { ImageKeeper } from './image-keeper.ts'
import { adopted, changed, concluded, fresh, givenUp, lacksDigest, refused, restored, resynced, withDigest } from './image-states.ts'
import type { Examination } from './image-states.ts'
import { inspectImage } from './inspection/inspection.ts'
import type { ManifestFiles } from './manifests/manifest-files.ts'
import { countStoredSize } from './manifests/slice-sizes.ts'
import type { OwnerLimit } from './owner-limit.ts'
import { createStandAside } from './digest/stand-aside.ts'
import { computeWholeDigest } from './digest/whole-digest.ts'
import { createWorkQueue } from './work-queue.ts'

/** Images inspected at once: an inspection reads a few hundred kilobytes. */
const INSPECTIONS_MAX = 2
/** Attempts at an inspection that the disk fails, and the wait between them in milliseconds. */
const ATTEMPTS_MAX = 10
const ATTEMPT_WAIT_MS = 30_000

export interface PublicationDeps {
  readonly disk: Disk
  readonly clock: Clock
  readonly log: Log
  readonly slices: SliceProvider & Pick<SliceMaintenance, 'sizes'>
  readonly emit: EmitEvent
  readonly crashPoint: CrashPoint
  readonly keeper: ImageKeeper
  readonly manifests: ManifestFiles
  readonly damage: Damage
  readonly ownerLimit: OwnerLimit
  /** Milliseconds since a body of an upload last arrived at full speed; 0 while one does. Digests that nobody waits for stop meanwhile. */
  readonly quietMs: () => number
}

export interface Publication extends AsyncDisposable, Pick<ImagePublisher, 'publish' | 'refuse' | 'adopt'> {
  /** Takes up an image where it stands: inspects one that is `creating`, computes a digest that is not there. */
  resume(id: string): void
  /** Resolves when no inspection and no digest is under way. */
  settled(): Promise<void>
}

export function createPublication(deps: PublicationDeps): Publication {
  const { disk, clock, log, slices, emit, crashPoint, keeper, manifests, damage, ownerLimit } = deps
  const onFailure = (key: string, error: unknown): void => {
    // An image that was removed meanwhile needs none.
    if (keeper.table.get(key)) log.error('work on an image failed', { image: key, error })
  }
  const inspections = createWorkQueue(INSPECTIONS_MAX, onFailure)
  // Two lanes: what somebody waits for does not stand behind what nobody does.
  const verifications = createWorkQueue(1, onFailure)
  const digests = createWorkQueue(1, onFailure)
  const ended = new AbortController()
  const pause = (): Promise<void> => clock.sleep(0)

  /** Writes a manifest into the folder of an image; the caller holds the lock. */
  const storeManifest = async <Written>(id: string, write: () => Promise<Written>): Promise<Written> => {
    try {
      await disk.makeFolder(keeper.folder(id))
      const written = await write()
      crashPoint('images:manifest-written')
      return written
    } catch (error) {
      throw diskProblem('The image could not be published', error)
    }
  }
  /** Writes image.json after the manifest; the caller holds the lock. */
  const store = async (stored: StoredImage): Promise<StoredImage> => {
    const saved = await keeper.save(stored)
    crashPoint('images:image-written')
    return saved
  }
  /** The image already published under this id. */
  const published = (id: string): Image | undefined => {
    if (!isId('img', id)) throw new Error(`${id} is not the id of an image`)
    return keeper.unfinished.has(id) ? undefined : keeper.table.get(id)?.image
  }

  const settle = async (id: string, signal: AbortSignal): Promise<void> => {
    for (let attempt = 1; keeper.table.get(id)?.image.status === 'creating'; attempt++) {
      try {
        const found = await examine(id, signal)
        await keeper.change(id, (stored) => (stored.image.status === 'creating' ? concluded(stored, found, clock.nowMs()) : undefined))
        crashPoint('images:inspected')
        announce(id)
        resume(id)
      } catch (error) {
        signal.throwIfAborted()
        if (keeper.table.get(id)?.image.status !== 'creating') return announce(id)
        log.warn('an image could not be inspected', { image: id, attempt, error })
        if (attempt < ATTEMPTS_MAX) await clock.sleep(ATTEMPT_WAIT_MS, signal)
        else return await giveUp(id, error)
      }
    }
  }
  const examine = async (id: string, signal: AbortSignal): Promise<Examination> => {
    const { image, life } = keeper.need(id)
    using opened = await damage.manifest(id)
    const { manifest } = opened
    try {
      const storedSize = await countStoredSize(manifest, { sizes: (digests) => slices.sizes(digests), pause })
      const inspection = await inspectImage(probeOf(slices, manifest, signal), life.declared.format)
      if (inspection.kind === 'refused' || life.declared.digest === null) return { inspection, storedSize }
      const digest = await computeWholeDigest(slices, manifest, { isAwaited: true, pause, signal })
      if (digest === life.declared.digest) return { inspection, storedSize, digest }
      const reason = `Digest mismatch: ${life.declared.digest} was expected, the bytes that came have ${digest}. ${PROBLEMS['digest-mismatch'].action}`
      return { inspection: { ...inspection, kind: 'refused', reason }, storedSize, digest }
    } catch (error) {
      if (!(error instanceof SliceUnreadable)) throw error
      const reason = `Image ${image.name} cannot be read back: ${error.message}. ${SLICES_ACTION}`
      return { inspection: { kind: 'refused', format: null, virtualSize: null, reason }, storedSize: null }
    }
  }
  const giveUp = async (id: string, cause: unknown): Promise<void> => {
    const why = errorText(cause)
    const statusReason = `It could not be inspected: ${why}. Check the mount path, then restore the image to have it inspected again.`
    await damage.noteStatus(id, (stored) => (stored.image.status === 'creating' ? givenUp(stored, statusReason) : undefined))
    announce(id)
  }
  const announce = (id: string): void => {
    const image = keeper.table.get(id)?.image
    if (image?.status === 'available') emit({ type: 'image.available', severity: 'info', subject: id, message: `Image ${image.name} is available.` })
    else if (image?.status === 'error')
      emit({ type: 'image.failed', severity: 'error', subject: id, message: `Image ${image.name}: ${image.statusReason ?? 'failed'}` })
  }

  /** Computes the digest of an available image, and holds it against what another store said. */
  const computeDigest = async (id: string, standAside: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> => {
    await standAside(signal)
    const before = keeper.table.get(id)
    if (!before || !lacksDigest(before)) return
    const pauseAside = async (): Promise<void> => {
      await pause()
      await standAside(signal)
    }
    using opened = await damage.manifest(id)
    try {
      const digest = await computeWholeDigest(slices, opened.manifest, { isAwaited: false, pause: pauseAside, signal })
      await keeper.change(id, (stored) => (lacksDigest(stored) ? withDigest(stored, digest) : undefined))
      crashPoint('images:digest-written')
      announceMismatch(id, digest, before.image.digest)
    } catch (error) {
      if (!(error instanceof SliceUnreadable)) throw error
      await damage.markDamaged([rootName(id)], `${error.message}. ${SLICES_ACTION}`)
    }
  }
  const announceMismatch = (id: string, digest: string, claimed: string | null): void => {
    if (claimed !== null && claimed !== digest) announce(id)
  }

  const resume = (id: string): void => {
    const stored = keeper.table.get(id)
    if (!stored) return
    if (stored.image.status === 'creating') {
      const lane = stored.life.declared.digest === null ? inspections : verifications
      lane.add(id, (signal) => settle(id, signal))
    } else if (lacksDigest(stored)) {
      const standAside = createStandAside({ clock, quietMs: deps.quietMs })
      digests.add(id, (signal) => computeDigest(id, standAside, signal))
    }
  }

  const adoptUnder = async (image: Image, manifest: Manifest): Promise<boolean> => {
    const { id } = image
    const there = keeper.unfinished.has(id) ? undefined : keeper.table.get(id)
    if (there?.image.status === 'fileUnavailable') throw problem('store-unavailable', `The files of image ${id} cannot be read here.`)
    if (there && there.image.status !== 'error' && there.image.manifestDigest !== image.manifestDigest && there.life.damage !== 'metadata') {
      throw problem('conflict', `There is another image with the id ${id} here, named ${there.image.name}, with other bytes.`)
    }
    if (there?.image.status === 'deleting') throw problem('wrong-status', `Image ${there.image.name} is being removed here.`)
    if (there?.image.status === 'creating' || there?.image.status === 'available') return false
    if (there?.image.status === 'deleted' && there.life.damage === null && there.life.before?.status === 'available') {
      const back = restored(there)
      using _claim = ownerLimit.claim(back.image)
      await keeper.save(back)
      return true
    }
    const stored = there ? resynced(there, image, clock.nowMs()) : adopted(image, clock.nowMs())
    using _claim = ownerLimit.claim(stored.image)
    await storeManifest(id, () => manifests.write(id, manifest))
    await store(changed(stored, { length: manifest.imageLength }))
    return true
  }

  return {
    publish: (image, content) =>
      keeper.table.locked(image.id, async () => {
        const known = published(image.id)
        if (known) return known
        const { digest } = await storeManifest(image.id, () => manifests.writeContent(image.id, content))
        const stored = await store(fresh(image, content.length, digest, clock.nowMs()))
        emit({ type: 'image.created', severity: 'info', subject: image.id, message: `Image ${image.draft.name} is here and is being inspected.` })
        resume(image.id)
        return stored.image
      }),
    refuse: (image, length, reason) =>
      keeper.table.locked(image.id, async () => {
        const known = published(image.id)
        if (known) return known
        await disk.makeFolder(keeper.folder(image.id))
        const stored = await store(refused(image, length, reason, clock.nowMs()))
        announce(image.id)
        return stored.image
      }),
    adopt: async (image, manifest) => {
      if (!isId('img', image.id)) throw problem('invalid-input', `"${image.id}" is not the id of an image.`)
      const isNew = await keeper.table.locked(image.id, () => adoptUnder(image, manifest))
      // Whoever copies an image wants it usable when the copy is said to be done.
      if (isNew) await settle(image.id, ended.signal)
      return isNew
    },
    resume,
    async settled() {
      // An inspection may order a digest, so the queue of digests is the last.
      for (const queue of [inspections, verifications, digests]) await queue.idle()
    },
    async [Symbol.asyncDispose]() {
      ended.abort()
      await Promise.all([inspections, verifications, digests].map((queue) => queue[Symbol.asyncDispose]()))
    },
  }
}

function probeOf(slices: SliceProvider, manifest: Manifest, signal: AbortSignal): ImageProbe {
  return {
    length: manifest.imageLength,
    async readAt(offset, length) {
      const end = Math.min(offset + length, manifest.imageLength)
      const bytes = new Uint8Array(Math.max(0, end - offset))
      let filled = 0
      if (bytes.byteLength > 0) {
        for await (const piece of slices.read(manifest, offset, end, signal)) {
          bytes.set(piece, filled)
          filled += piece.byteLength
        }
      }
      return bytes
    },
  }
}
