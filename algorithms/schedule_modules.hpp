#pragma once

#include <vector>

#include "algorithms/registry.hpp"

namespace paceline {

/// Schedules in shared objects of their authors, which need not rebuild this program: what the
/// files that $PACELINE_SCHEDULES names (separated by colons) define with PACELINE_SCHEDULES, made
/// by cmake's `paceline_schedules` (docs/writing-a-schedule.md). Throws InputError: no such file,
/// none of ours, from another build.
std::vector<ScheduleEntry> schedules_of_modules();

}  // namespace paceline

#ifndef PACELINE_ABI
#define PACELINE_ABI ""
#endif

/// In a shared object: the entries that it adds.
#define PACELINE_SCHEDULES(...)                                                                 \
  extern "C" __attribute__((visibility("default"))) const char* paceline_schedules_abi() {      \
    return PACELINE_ABI;                                                                        \
  }                                                                                             \
  extern "C" __attribute__((visibility("default"))) const std::vector<paceline::ScheduleEntry>* \
  paceline_schedules() {                                                                        \
    static const std::vector<paceline::ScheduleEntry> entries{__VA_ARGS__};                     \
    return &entries;                                                                            \
  }
