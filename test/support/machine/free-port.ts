// A port for a program that cannot choose one itself.

import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'
import { hasCode } from '../../../protocol/errors.ts'

/** Ports below those that the kernel gives to connections and to servers on port 0 (ip_local_port_range of Linux), so that nobody takes one before the program does. */
const PORT_MIN = 16_384
const PORT_MAX = 32_767

/** Returns a port on which nothing listens at an address. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = randomInt(PORT_MIN, PORT_MAX + 1)
    const server = createServer()
    try {
      await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve))
    } catch (error) {
      if (hasCode(error, 'EADDRINUSE')) continue
      throw error
    }
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
