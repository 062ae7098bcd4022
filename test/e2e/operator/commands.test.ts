// The agent's program as an operator runs it: commands, exit codes, starts that are refused without changes, and space that commands free.

import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import packageFile from '../../../package.json' with { type: 'json' }
import { agentToml } from '../../support/agents/agent-config.ts'
import { openTestBot, runCommand, runJson } from '../../bot/fixture.ts'
import { startAgent, TEST_ADMIN_TOKEN } from '../../support/agents/agent-process.ts'
import { agentProgram } from '../../support/agents/programs.ts'
import { seededBytes } from '../../support/images/image-store.ts'
import { createTemporaryFolder } from '../../support/machine/temporary-folder.ts'
import type { TemporaryFolder } from '../../support/machine/temporary-folder.ts'
import { until } from '../../support/until.ts'

// On a busy machine a process takes longer than the runner's default of 5 s.
setDefaultTimeout(60_000)

const MIB = 1024 * 1024

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the program and waits for its end. */
async function run(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ran> {
  const child = Bun.spawn([...agentProgram(), ...args], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { PATH: process.env['PATH'], SLIPWAY_LOG_LEVEL: 'error', ...environment },
  })
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited])
  return { code, stdout, stderr }
}

/** Returns everything below a folder, with lengths. */
async function inventory(folder: TemporaryFolder): Promise<string[]> {
  return (await readdir(folder.path, { recursive: true })).toSorted()
}

async function writeConfig(folder: TemporaryFolder, text: string): Promise<string> {
  const path = folder.file('agent.toml')
  await writeFile(path, text)
  return path
}

describe('a start is refused with exit code 2, one sentence and no change:', () => {
  const refusals: readonly [string, (folder: TemporaryFolder) => string | Promise<string>, RegExp][] = [
    [
      'an unknown key',
      ({ path }) => agentToml(path).replace('mount', 'muont'),
      /^\S+agent\.toml: store\.muont is not a known key; did you mean store\.mount\?\n$/,
    ],
    [
      'broken TOML',
      ({ path }) => `${agentToml(path)}[store\n`,
      /^\S+agent\.toml, line \d+, column \d+: this is not valid TOML: .* Correct the line and start again\.\n$/,
    ],
    [
      'a system folder',
      () => '[store]\nmount = "/usr/share/slipway"\n',
      /^store\.mount cannot be used: "\/usr\/share\/slipway" is a system folder\. Choose .*\n$/,
    ],
    [
      'a link to a system folder',
      async (folder) => {
        await symlink('/etc', folder.file('link'))
        return `[store]\nmount = "${folder.file('link/x')}"\n`
      },
      /^store\.mount cannot be used: ".*" leads to "\/etc\/x", a system folder\. Choose .*\n$/,
    ],
    [
      'a key without its certificate',
      ({ path }) => agentToml(path, `[tls]\nkey = "${path}/key.pem"\n`),
      /^tls\.cert and tls\.key belong together\. Set both, or neither\.\n$/,
    ],
    [
      'a missing certificate',
      ({ path }) => agentToml(path, `[tls]\nkey = "${path}/key.pem"\ncert = "${path}/cert.pem"\n`),
      /^tls\.\w+ ".*" cannot be read \(ENOENT\)\. Name a PEM file .*\n$/,
    ],
  ]
  test.each(refusals)('%s', async (_what, text, sentence) => {
    await using folder = await createTemporaryFolder()
    const config = await writeConfig(folder, await text(folder))
    const before = await inventory(folder)
    const ran = await run(['serve', '--config', config])
    expect(ran).toEqual({ code: 2, stdout: '', stderr: expect.stringMatching(sentence) })
    expect(await inventory(folder)).toEqual(before)
  })

  test('a port in use', async () => {
    await using folder = await createTemporaryFolder()
    await using other = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response() })
    const config = await writeConfig(folder, agentToml(folder.path).replace('127.0.0.1:0', `127.0.0.1:${other.port}`))
    const ran = await run(['serve', '--config', config])
    expect(ran).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^The address 127\.0\.0\.1:\d+ is taken by another process\. Stop that process, or .*\n$/),
    })
    expect(await inventory(folder)).toEqual(['agent.toml'])
  })

  test('a store whose lease another agent holds, for every command that needs it', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    for (const command of ['serve', 'recover', 'scrub', 'gc', 'check']) {
      const ran = await run([command, '--config', folder.file('agent.toml')])
      expect([command, ran]).toEqual([
        command,
        {
          code: 2,
          stdout: '',
          stderr: expect.stringMatching(/^The store on .* is held by another agent on .*, process \d+\. Stop that agent first, or use another mount path\.\n$/),
        },
      ])
    }
    expect((await agent.client.health()).state).not.toBe('error')
  })

  test('a missing file, and an unknown command', async () => {
    expect(await run(['serve', '--config', '/nowhere/agent.toml'])).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot be read (ENOENT)') })
    expect(await run(['server'])).toMatchObject({ code: 2, stderr: expect.stringContaining('Usage: slipway-agent COMMAND') })
    expect(await run(['serve', '--confg', 'x'])).toMatchObject({ code: 2, stderr: expect.stringContaining('--confg') })
  })
})

describe('serve --check', () => {
  test('says whether a configuration is valid and changes nothing', async () => {
    await using folder = await createTemporaryFolder()
    const good = await writeConfig(folder, agentToml(folder.path))
    expect(await run(['serve', '--check', '--config', good])).toEqual({ code: 0, stdout: 'The configuration of store test is valid.\n', stderr: '' })
    expect(await run(['serve', '--check', '--config', good], { SLIPWAY_STORE_MOUNT: '/dev/shm' })).toMatchObject({ code: 2, stdout: '' })
    expect(await inventory(folder)).toEqual(['agent.toml'])
  })
})

describe('commands on a stopped store', () => {
  test('verify, clean and rebuild it', async () => {
    await using folder = await createTemporaryFolder()
    const config = folder.file('agent.toml')
    const keep = await fill(folder, 'keep')
    await fill(folder, 'drop', true)

    expect(await run(['check', '--config', config])).toEqual({ code: 0, stdout: '1 images and uploads checked, 0 with missing slices.\n', stderr: '' })
    const dryRun = await run(['gc', '--dry-run', '--config', config])
    expect(dryRun).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+ slices are referenced, \d+ \(.*MB\) are not\.\nA run would free .*MB\.\n$/) })
    expect(await run(['gc', '--config', config])).toMatchObject({ code: 0, stdout: expect.stringMatching(/were freed: \d+ packs removed, \d+ rewritten\.\n$/) })
    expect(await run(['scrub', '--config', config])).toMatchObject({ code: 0, stdout: expect.stringMatching(/were read: 0 damaged, 0 missing\.\n$/) })

    await Bun.file(folder.file('state/index.db')).delete()
    expect(await run(['recover', '--config', config])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+ slices \(.*\) found in \d+ packs; 1 images in the catalogue\.\n$/),
    })
    await using agent = await startAgent(folder.path)
    expect(await contentOf(agent.url, keep.id, agent.headers())).toBe(keep.digest)
  })

  test('recover restores a truncated store.json, and the agent starts with the same store and images', async () => {
    await using folder = await createTemporaryFolder()
    const config = folder.file('agent.toml')
    const { id, digest } = await fill(folder, 'kept')
    const { uuid } = await Bun.file(folder.file('store/store.json')).json()
    await writeFile(folder.file('store/store.json'), '')
    for (const command of ['serve', 'check', 'scrub', 'gc'])
      expect(await run([command, '--config', config])).toEqual({
        code: 2,
        stdout: '',
        stderr: `${folder.file('store/store.json')} is damaged (it is not valid JSON). Packs and images are not affected. ${folder.file('store/store.json.bak')} is a verified copy of it. Run "slipway-agent recover", which restores it.\n`,
      })
    expect(await run(['recover', '--config', config])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`store.json was restored from ${folder.file('store/store.json.bak')}.\n`),
    })
    await using agent = await startAgent(folder.path)
    expect((await agent.client.store.get()).id).toBe(uuid)
    expect(await contentOf(agent.url, id, agent.headers())).toBe(digest)
  })

  test('exit with 1 and name what is damaged', async () => {
    await using folder = await createTemporaryFolder()
    const config = folder.file('agent.toml')
    const { id } = await fill(folder, 'hit')
    const [pack = ''] = (await readdir(folder.file('store/packs'), { recursive: true })).filter((name) => name.endsWith('.pack'))
    const bytes = await Bun.file(folder.file('store/packs', pack)).bytes()
    bytes[MIB] = (bytes[MIB] ?? 0) ^ 1
    await writeFile(folder.file('store/packs', pack), bytes)
    const scrub = await run(['scrub', '--config', config], { SLIPWAY_LOG_LEVEL: 'error' })
    expect(scrub.code).toBe(1)
    expect(scrub.stdout).toMatch(/were read: (?:1 damaged, 0|0 damaged, 1) missing/)
    expect(scrub.stdout).toContain(`Affected: image ${id}. Sync it again from a store that has it.`)
  })
})

/** Uploads an image to an agent on the folder and stops the agent; a dropped image is three times as long and purged. */
async function fill(folder: TemporaryFolder, name: string, isDropped = false): Promise<{ id: string; digest: string }> {
  await mkdir(folder.path, { recursive: true })
  await using agent = await startAgent(folder.path, { config: '[images]\ndeletion = "immediate"\n' })
  const bytes = new Uint8Array((isDropped ? 12 : 4) * MIB)
  for (let at = 0; at < bytes.length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536))
  const answer = await fetch(`${agent.url}/v1/uploads`, {
    method: 'POST',
    headers: agent.headers({
      'tus-resumable': '1.0.0',
      'upload-length': String(bytes.length),
      'upload-metadata': `name ${btoa(name)}`,
      'content-type': 'application/offset+octet-stream',
    }),
    body: bytes,
  })
  expect([answer.status, await answer.text()]).toEqual([201, ''])
  const id = answer.headers.get('content-location')?.split('/').at(-1) ?? ''
  await until('the image is available', async () => (await agent.client.images.get(id)).status === 'available')
  if (isDropped) await agent.client.images.delete(id)
  expect(await agent.stop()).toBe(0)
  return { id, digest: Bun.SHA256.hash(bytes, 'hex') }
}

async function contentOf(url: string, id: string, headers: Record<string, string>): Promise<string> {
  const answer = await fetch(`${url}/v1/images/${id}/content`, { headers })
  return Bun.SHA256.hash(await answer.bytes(), 'hex')
}

describe('space', () => {
  test('a deleted image keeps its space after a cleanup; after a purge the next cleanup frees it', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path)
    using bot = openTestBot(folder.file('home'))
    expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
    const file = folder.file('disk.raw')
    await writeFile(file, seededBytes(4 * MIB, 1))
    expect((await runCommand(bot, 'image', 'upload', file, 'name=disk')).code).toBe(0)
    const stored = async () => (await agent.client.store.get()).slices.storedBytes
    const before = await stored()
    expect(before).toBeGreaterThan(3 * MIB)

    const deleted = await runCommand(bot, 'image', 'delete', 'disk', '--confirm', 'disk')
    expect(deleted.code).toBe(0)
    const advice = /to free it now: (image purge img_\w+), then (store cleanup edge-a)\./.exec(deleted.output)
    expect(advice).not.toBeNull()
    expect((await runJson(bot, 'store', 'cleanup')).value).toMatchObject({ state: 'succeeded' })
    expect(await stored()).toBe(before)

    const purge = (advice?.[1] ?? '').split(' ')
    const purged = await runCommand(bot, ...purge, '--confirm', 'disk')
    expect(purged.code).toBe(0)
    expect(purged.output).toContain('Next: store cleanup edge-a')
    expect(await stored()).toBe(before)
    expect((await runJson(bot, 'store', 'cleanup')).value).toMatchObject({ state: 'succeeded' })
    expect(await stored()).toBe(0)
    expect((await runJson(bot, 'image', 'bin')).value['items']).toEqual([])
  })

  test('a store that never purges deleted images refuses a purge and names the command that changes it', async () => {
    await using folder = await createTemporaryFolder()
    await using agent = await startAgent(folder.path, { config: '[images]\ndeletion = "never"\n' })
    using bot = openTestBot(folder.file('home'))
    expect((await runCommand(bot, 'store', 'add', 'name=edge-a', `url=${agent.url}`, `token=${TEST_ADMIN_TOKEN}`, 'zone=zone-1')).code).toBe(0)
    const file = folder.file('disk.raw')
    await writeFile(file, seededBytes(10_000, 1))
    expect((await runCommand(bot, 'image', 'upload', file, 'name=disk')).code).toBe(0)
    const { code, output } = await runCommand(bot, 'image', 'purge', 'disk', '--confirm', 'disk')
    expect({ code, output }).toEqual({
      code: 1,
      output: expect.stringContaining('its policy keeps deleted images forever; run store edit edge-a deletion=delayed first'),
    })
    expect((await runJson(bot, 'image', 'list')).value['items']).toHaveLength(1)
  })
})

describe('help and version', () => {
  test.each([['--version'], ['-V']])('%s prints the version', async (flag) => {
    expect(await run([flag])).toEqual({ code: 0, stdout: `${packageFile.version}\n`, stderr: '' })
  })

  test.each([['--help'], ['-h'], ['help']])('%s prints the usage and exits with 0', async (flag) => {
    expect(await run([flag])).toMatchObject({ code: 0, stdout: expect.stringContaining('Usage: slipway-agent COMMAND'), stderr: '' })
  })
})
