// libnuma: memory policies, CPU sets and page queries. Imported by Sources/Parallel/NUMA.swift alone.
#pragma once
#include <numa.h>
#include <numaif.h>
