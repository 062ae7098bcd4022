// What commands of images, exports, media groups and usage show.

import type { Terms } from './term.ts'

export const IMAGE_TERMS: Terms = {
  Status: {
    means:
      'creating, uploading and pending: not complete yet. available: complete and verified. degraded: some slices are damaged. fileUnavailable: its store cannot be reached. error: refused or damaged. deleted: in the recycle bin. deleting: being removed.',
    normal: 'available',
    action: 'image show I says why it is not available, and what to do.',
  },
  Known: {
    means: 'The store of the image does not answer. What is shown is what the store held when the bot last knew, and how old that is.',
    action: 'store health S says why the store does not answer.',
  },
  Kind: { means: 'What the image is for: system, disk, iso, base, template, snapshot, backup, capture or virtualDisk.' },
  Format: { means: 'Format of the file: raw, qcow2, vmdk or iso.' },
  'Virtual size': { means: 'How large a disk a guest sees.', unit: 'bytes' },
  Stored: { means: 'What the slices of the image take on disk; images share slices.', unit: 'bytes' },
  'Stored size': { means: 'What the slices of the image take on disk; images share slices.', unit: 'bytes' },
  'Purging frees': { means: 'What the disk gains when this image is purged, because no other image needs these slices.', unit: 'bytes' },
  Owner: { means: 'The user to whom the image belongs.' },
  Access: { means: 'Who may read or use the image besides its owner and operators.' },
  'In use by': { means: 'Instances that use the image. It cannot be deleted meanwhile.', normal: 'Any.' },
  Manifest: { means: 'Digest of the list of slices, which names the exact content. It is the ETag of downloads.' },
  'SHA-256': { means: 'Digest of the whole file, as sha256sum prints it; absent until it is computed.' },
  Published: { means: 'When the image became available.', unit: 'time in UTC' },
  Protected: { means: 'Whether the image is protected from deletion.', action: 'image unprotect I removes the protection.' },
  Restore: { means: 'The command that brings the image back from the recycle bin.' },
  Deleted: { means: 'When the image was moved to the recycle bin.', unit: 'time in UTC' },
  'Deleted for good': {
    means: 'When the image in the recycle bin is removed for good.',
    unit: 'time in UTC',
    action: 'image restore I keeps it.',
  },
  Result: { means: 'What happened to the image.', normal: 'purged' },
  Protection: { means: 'What protects the image from deletion.' },
  File: { means: 'The file on the mount path that the export wrote.' },
  'After a cut': { means: 'How the transfer goes on after the connection was cut.' },
  Digest: { means: 'The expected SHA-256, which is verified before the image becomes available.' },
  From: { means: 'Where the image comes from.' },
  Import: { means: 'What the import would do.' },
  Limits: { means: 'Limits of the owner or of the store that apply.', normal: 'Within the limits.' },
  'With a tus client': { means: 'The address for a client of the tus protocol, which continues after a cut.' },
}

export const EXPORT_TERMS: Terms = {
  Export: { means: 'The id of the export.' },
  File: { means: 'The name of the exported file in the folder exports of the mount path.' },
  State: { means: 'Whether the file is being written or is complete.', normal: 'complete' },
}

export const MEDIA_GROUP_TERMS: Terms = {
  Group: { means: 'The name of the media group.' },
  Images: { means: 'How many images are in the group.', unit: 'images' },
  Visible: { means: 'Whether every viewer sees its images, or only owners, operators and users with a grant.' },
}

export const USAGE_TERMS: Terms = {
  Month: { means: 'The calendar month in UTC.' },
  'GB-hours': { means: 'Length of the images times the hours for which they were available.', unit: 'GB × hours' },
  'Stored GB-hours': { means: 'What the slices took, times the hours.', unit: 'GB × hours' },
  'Price per GB-month': { means: 'The price of the configuration of the store (images.price-per-gb-month).', unit: 'without a currency' },
  Cost: { means: 'GB-hours times the price.', unit: 'without a currency' },
}
