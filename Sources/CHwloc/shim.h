#pragma once
#include <hwloc.h>

// Handles as pointers that Swift can name, and what is a macro or an inline function of hwloc's.
static inline void *lasp_hwloc_load(void) {
  hwloc_topology_t topology;
  if (hwloc_topology_init(&topology) != 0) return 0;
  // What this process may not use is there, too: a binding is told from what the machine has.
  hwloc_topology_set_flags(topology, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
  if (hwloc_topology_load(topology) == 0) return topology;
  hwloc_topology_destroy(topology);
  return 0;
}
static inline void lasp_hwloc_free(void *topology) { hwloc_topology_destroy((hwloc_topology_t)topology); }
static inline int lasp_hwloc_nodes(void *topology) {
  return hwloc_get_nbobjs_by_type((hwloc_topology_t)topology, HWLOC_OBJ_NUMANODE);
}
static inline int lasp_hwloc_packages(void *topology) {
  return hwloc_get_nbobjs_by_type((hwloc_topology_t)topology, HWLOC_OBJ_PACKAGE);
}
// The next processor of a node after one, -1 for the first; -1 where there is none.
static inline int lasp_hwloc_next(void *topology, int node, int processor) {
  hwloc_obj_t object = hwloc_get_obj_by_type((hwloc_topology_t)topology, HWLOC_OBJ_NUMANODE, node);
  return object && object->cpuset ? hwloc_bitmap_next(object->cpuset, processor) : -1;
}
static inline unsigned long long lasp_hwloc_memory(void *topology, int node) {
  hwloc_obj_t object = hwloc_get_obj_by_type((hwloc_topology_t)topology, HWLOC_OBJ_NUMANODE, node);
  return object ? object->attr->numanode.local_memory : 0;
}
