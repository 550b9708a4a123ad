/*
 * How many cores this process may use.
 */

#ifndef V2M_CORES_H
#define V2M_CORES_H

/*
 * Those of its affinity mask, but not more than the control group's limit
 * allows: "cpu.max" of version 2 or "cpu.cfs_quota_us" of version 1, of its
 * own group or one above it.  root is where the file system is to be looked
 * for, "" outside of tests.  At least 1.
 */
int v2m_cores(const char *root);

#endif /* V2M_CORES_H */
