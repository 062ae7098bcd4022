// The peers of the bench `sync`: rsync over its daemon, and casync, desync and zsync over nginx. What a server needs is made once and kept in
// the test cache. Each target may use all versions that it got before.

import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { freePort } from '../../support/machine/free-port.ts'
import { startNginx } from '../../support/clients/nginx.ts'
import { testCacheFolder } from '../../support/images/image-family.ts'
import type { ImageFamily } from '../../support/images/image-family.ts'
import { until } from '../../support/until.ts'
import type { Command } from '../measure.ts'
import { run } from '../measure.ts'
import type { Puller, Target, Version } from './puller.ts'
import { filesOf, VERSIONS, watched } from './puller.ts'

/** Where a command reads and writes. */
interface Pull {
  readonly version: Version
  readonly port: number
  /** Folder of the target. */
  readonly folder: string
  /** Files of the versions that the target has. */
  readonly before: readonly string[]
}

/** A program that copies from a server. */
export interface Peer {
  /** The program, which is also its Debian package. */
  readonly program: string
  /** Starts the server of a family. `folder` is for its configuration. */
  start(family: ImageFamily, folder: string, say: (line: string) => void): Promise<Puller>
}

/** All peers, or those with the names. Installs missing ones with apt if permitted; otherwise names them. */
export async function availablePeers(names: readonly string[], say: (line: string) => void): Promise<Peer[]> {
  const found: Peer[] = []
  for (const peer of [rsync, casync, desync, zsync]) {
    if (names.length > 0 && !names.includes(peer.program)) continue
    if (Bun.which(peer.program) === null && process.getuid?.() === 0)
      await Bun.spawn(['apt-get', 'install', '-y', '-q', '--no-install-recommends', peer.program], { stdout: 'ignore', stderr: 'ignore' }).exited
    if (Bun.which(peer.program) === null) say(`${peer.program} is not installed and is skipped: apt-get install ${peer.program}`)
    else found.push(peer)
  }
  return found
}

const rsync: Peer = {
  program: 'rsync',
  async start(family, folder) {
    const port = await freePort()
    const config = join(folder, 'rsyncd.conf')
    const user = process.getuid?.() === 0 ? 'uid = root\ngid = root\n' : ''
    writeFileSync(config, `${user}use chroot = no\n[images]\npath = ${dirname(family.v1)}\nread only = yes\n`)
    const child = Bun.spawn(['rsync', '--daemon', '--no-detach', `--config=${config}`, '--address=127.0.0.1', `--port=${port}`], {
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'inherit',
    })
    await until('rsync answers', () =>
      Bun.connect({ hostname: '127.0.0.1', port, socket: { data() {} } }).then(
        (socket) => (socket.end(), true),
        () => false,
      ),
    )
    return {
      name: 'rsync -z',
      port,
      pid: child.pid,
      // rsync compares with the file that it replaces, so that each version replaces the one before.
      createTarget: async (target) =>
        createTarget(
          family,
          target,
          ({ version, port: from }) => ({ line: ['rsync', '-z', `rsync://127.0.0.1:${from}/images/${version}.raw`, join(target, 'image.raw')] }),
          () => join(target, 'image.raw'),
        ),
      async [Symbol.asyncDispose]() {
        child.kill()
        await child.exited
      },
    }
  },
}

const casync: Peer = {
  program: 'casync',
  start: (family, _folder, say) =>
    overNginx(family, {
      name: 'casync',
      root: prepared('casync', say, async (part) => {
        for (const version of VERSIONS) await run({ line: ['casync', 'make', `--store=${part}/store.castr`, `${part}/${version}.caibx`, family[version]] })
      }),
      pull: ({ version, port, folder: target, before }) => ({
        line: [
          'casync',
          'extract',
          `--store=http://127.0.0.1:${port}/store.castr`,
          ...before.map((file) => `--seed=${file}`),
          `http://127.0.0.1:${port}/${version}.caibx`,
          join(target, `${version}.raw`),
        ],
      }),
    }),
}

const desync: Peer = {
  program: 'desync',
  start: (family, _folder, say) =>
    overNginx(family, {
      name: 'desync',
      root: prepared('desync', say, async (part) => {
        mkdirSync(join(part, 'store'))
        for (const version of VERSIONS) await run({ line: ['desync', 'make', '-s', join(part, 'store'), join(part, `${version}.raw.caibx`), family[version]] })
      }),
      // The target needs the index of each file that it has. It got the file with it, so these bytes do not count.
      indexes: true,
      pull: ({ version, port, folder: target, before }) => ({
        line: [
          'desync',
          'extract',
          '-s',
          `http://127.0.0.1:${port}/store`,
          ...before.flatMap((file) => ['--seed', `${file}.caibx`]),
          `http://127.0.0.1:${port}/${version}.raw.caibx`,
          join(target, `${version}.raw`),
        ],
      }),
    }),
}

// Without -z, with which it compresses each version as a whole for many minutes.
const zsync: Peer = {
  program: 'zsync',
  start: (family, _folder, say) =>
    overNginx(family, {
      name: 'zsync',
      root: prepared('zsync', say, async (part) => {
        for (const version of VERSIONS) {
          symlinkSync(family[version], join(part, `${version}.raw`))
          await run({ line: ['zsyncmake', '-e', '-u', `${version}.raw`, '-o', join(part, `${version}.zsync`), family[version]] })
        }
      }),
      pull: ({ version, port, folder: target, before }) => ({
        line: ['zsync', '-q', ...before.flatMap((file) => ['-i', file]), '-o', join(target, `${version}.raw`), `http://127.0.0.1:${port}/${version}.zsync`],
      }),
    }),
}

interface OverNginx {
  readonly name: string
  readonly root: Promise<string>
  /** Whether a target keeps the index beside each file. */
  readonly indexes?: boolean
  pull(pull: Pull): Command
}

async function overNginx(family: ImageFamily, { name, root, indexes = false, pull }: OverNginx): Promise<Puller> {
  const path = await root
  const server = await startNginx({ root: path })
  return {
    name,
    port: server.port,
    pid: server.pid,
    createTarget: async (target) =>
      createTarget(
        family,
        target,
        pull,
        (version) => join(target, `${version}.raw`),
        async (version) => {
          if (indexes) await Bun.write(join(target, `${version}.raw.caibx`), Bun.file(join(path, `${version}.raw.caibx`)))
        },
      ),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

function createTarget(
  family: ImageFamily,
  folder: string,
  command: (pull: Pull) => Command,
  fileOf: (version: Version) => string,
  pulled: (version: Version) => Promise<void> = async () => {},
): Target {
  const had: Version[] = []
  return {
    async pull(version, port, limitMs) {
      const taken = await watched(command({ version, port, folder, before: filesOf(folder, had) }), folder, limitMs)
      had.push(version)
      await pulled(version)
      return taken
    },
    async verify(version) {
      await run({ line: ['cmp', family[version], fileOf(version)] })
    },
    async [Symbol.asyncDispose]() {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Returns a folder in the test cache that `make` filled once. */
async function prepared(name: string, say: (line: string) => void, make: (part: string) => Promise<void>): Promise<string> {
  const path = join(testCacheFolder(), `sync-${name}`)
  if (existsSync(path)) return path
  say(`preparing the server of ${name}`)
  rmSync(`${path}.part`, { recursive: true, force: true })
  mkdirSync(`${path}.part`)
  await make(`${path}.part`)
  renameSync(`${path}.part`, path)
  return path
}
