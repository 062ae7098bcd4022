// Plants a defect in an agent: bun --preload <a file of this folder> agent/main.ts serve. Changes one module of the agent while it is
// loaded; the agent has no code for this.

import { readFileSync } from 'node:fs'

/**
 * Replaces a text, which must occur exactly once in the module whose path matches, and appends a text to the module. The agent logs the
 * name of the `plant`, so that a test cannot pass or fail without it.
 */
export function plantSource(plant: string, path: RegExp, sound: string, planted: string, end = ''): void {
  Bun.plugin({
    name: 'planted-defect',
    setup(build) {
      build.onLoad({ filter: path }, (module) => {
        const source = readFileSync(module.path, 'utf8')
        if (source.split(sound).length !== 2) throw new Error(`${module.path} does not contain this exactly once: ${sound}`)
        return { contents: `${source.replace(sound, planted)}\n${end}\nconsole.error(${JSON.stringify(`planted: ${plant}`)})\n`, loader: 'ts' }
      })
    },
  })
}

/** Wraps the disk of the agent in the function `spoil: (disk: Disk) => Disk` that `plant` exports. */
export function plantDisk(plant: string): void {
  const end = `import { spoil } from ${JSON.stringify(plant)}
export function createDisk(): Disk {
  return spoil(createSoundDisk())
}`
  plantSource(plant, /\/agent\/system\/disk\.ts$/, 'export function createDisk(', 'function createSoundDisk(', end)
}
