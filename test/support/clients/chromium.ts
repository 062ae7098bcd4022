// Debian's Chromium, driven by playwright-core.

import { chromium } from 'playwright-core'
import type { Browser } from 'playwright-core'

/** Starts a headless Chromium: without a sandbox, because tests run as root. */
export function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic'] })
}
