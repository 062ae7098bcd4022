// Which image stores fit which primary storage: the disks of instances lie on primary storage, and an instance is made from an image by a hypervisor that reaches
// both. The type of an image store is its provider.

/** How well an image store of a type fits. `default`: the one that is chosen first. */
export type Fit = 'default' | 'yes' | 'no'

export interface ImageStoreType {
  /** As in `store add provider=`. */
  readonly type: string
  readonly about: string
}

export interface PrimaryStorageType {
  /** As in `primary=`. */
  readonly type: string
  readonly about: string
  /** The default type of image store first, then the others that fit. */
  readonly fits: readonly [string, ...string[]]
}

/** Types of image stores that agents of this version serve: a folder, on a disk of the node or on NFS. */
export const IMAGE_STORE_TYPES: readonly ImageStoreType[] = [
  { type: 'local', about: 'a mount path on a disk of the node' },
  { type: 'nfs', about: 'a mount path on NFS' },
]

/** Hypervisors read images over HTTP, so that every type fits; the default is the one that shares the failures of the primary storage least, or its share. */
export const PRIMARY_STORAGE_TYPES: readonly PrimaryStorageType[] = [
  { type: 'local', about: 'disks of the hypervisor', fits: ['local', 'nfs'] },
  { type: 'nfs', about: 'a share of NFS', fits: ['nfs', 'local'] },
  { type: 'shared-block', about: 'LUNs of iSCSI or Fibre Channel', fits: ['local', 'nfs'] },
  { type: 'ceph', about: 'a pool of Ceph RBD', fits: ['local', 'nfs'] },
]

/** The type of a store of which nothing else is known. */
export const DEFAULT_STORE_TYPE = 'local'

/** Finds a type of primary storage. */
export function primaryStorage(type: string): PrimaryStorageType | undefined {
  return PRIMARY_STORAGE_TYPES.find((one) => one.type === type)
}

/** Returns how well image stores of a type fit a primary storage. A provider that is not in the table does not fit: nothing is known of it. */
export function fitOf({ fits }: Pick<PrimaryStorageType, 'fits'>, provider: string): Fit {
  if (fits[0] === provider) return 'default'
  return fits.includes(provider) ? 'yes' : 'no'
}
