// Plants a defect in an agent: bun --preload <a file of this folder> agent/main.ts serve. The disk that the agent makes goes through
// the function of that file; nothing in the agent knows of it.

import { readFileSync } from 'node:fs'

const FACTORY = 'export function createDisk('

/** `module` is the file that exports `spoil: (disk: Disk) => Disk`. */
export function plantDisk(module: string): void {
  Bun.plugin({
    name: 'planted-disk',
    setup(build) {
      build.onLoad({ filter: /\/agent\/system\/disk\.ts$/ }, ({ path }) => {
        const sound = readFileSync(path, 'utf8')
        if (sound.split(FACTORY).length !== 2) throw new Error(`${path} has no ${FACTORY}…): the planted defect does not fit`)
        // Says in the agent's log that the defect is there, so that a test cannot pass or fail without it.
        const spoiled = `import { spoil } from ${JSON.stringify(module)}
export function createDisk(): Disk {
  console.error(${JSON.stringify(`planted: ${module}`)})
  return spoil(createSoundDisk())
}
`
        return { contents: `${sound.replace(FACTORY, 'function createSoundDisk(')}\n${spoiled}`, loader: 'ts' }
      })
    },
  })
}
