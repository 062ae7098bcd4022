// vhd (Microsoft Virtual Hard Disk Image Format Specification 1.0), big endian, which no store accepts. A fixed disk has its footer at the end only,
// so it looks raw from its start, and its last sector would become part of the guest's disk. Other disks have a copy of the footer at the start.

import { convertAdvice } from './signatures.ts'
import { startsWith, viewOf } from './format.ts'
import type { ForeignDetection, ImageProbe } from './format.ts'

const COOKIE = 'conectix'
const FOOTER_BYTES = 512
/** Versions before Virtual PC 2004 wrote a footer that is one byte shorter. */
const OLD_FOOTER_BYTES = 511
const TYPE_OFFSET = 60

export async function detectVhd(probe: ImageProbe): Promise<ForeignDetection | undefined> {
  const head = new Uint8Array(await probe.readAt(0, FOOTER_BYTES))
  const tail = await probe.readAt(Math.max(0, probe.length - FOOTER_BYTES), FOOTER_BYTES)
  const oldTail = tail.subarray(Math.max(0, tail.byteLength - OLD_FOOTER_BYTES))
  const footer = [head, tail, oldTail].find((bytes) => startsWith(bytes, COOKIE))
  if (!footer) return undefined
  const type = footer.byteLength >= TYPE_OFFSET + 4 ? viewOf(footer).getUint32(TYPE_OFFSET) : 0
  if (type !== 4) return { foreign: 'vhd', name: `a ${NAMES[type] ?? 'damaged'} disk of Hyper-V or Virtual PC (vhd)`, advice: convertAdvice('vpc') }
  const advice = 'Merge it into its parent with Merge-VHD on a machine that has the parent, then convert the parent with qemu-img convert -f vpc -O qcow2.'
  return { foreign: 'vhd', name: 'a differencing disk of Hyper-V (vhd), which is incomplete without its parent', advice }
}

/** Disk types of the footer that hold a whole disk. */
const NAMES: Readonly<Record<number, string>> = { 2: 'fixed', 3: 'dynamic' }
