#pragma once

#include <string>

#include "base/json_fwd.hpp"

namespace paceline {

/// "AMD EPYC 9354": what the operating system calls the CPU; "CPU" where it does not say.
std::string cpu_name();

/// CPU, instruction sets, cores, kernel, and whether it is a virtual machine.
Json host_record();

/// 0 or less where the operating system does not say.
double host_memory_bytes();

}  // namespace paceline
