// dmg (Apple disk image), which no store accepts. It has its trailer in the last 512 bytes and may hold an ISO or a partition table at its start.

import { convertAdvice } from './signatures.ts'
import { startsWith } from './format.ts'
import type { ForeignDetection, ImageProbe } from './format.ts'

const TRAILER_BYTES = 512

export async function detectDmg(probe: ImageProbe): Promise<ForeignDetection | undefined> {
  const tail = await probe.readAt(Math.max(0, probe.length - TRAILER_BYTES), TRAILER_BYTES)
  return startsWith(tail, 'koly') ? { foreign: 'dmg', name: 'a disk image of macOS (dmg)', advice: convertAdvice('dmg') } : undefined
}
