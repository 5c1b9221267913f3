#pragma once

#include <string>

namespace paceline {

/// A part of the program in a shared library of its own, opened when it is first needed: what it
/// links (CUDA, SimGrid, oneDNN) costs nothing to those who do not ask for it.
struct ModuleInfo {
  std::string name;         ///< "simgrid": libpaceline_simgrid.so
  std::string environment;  ///< a variable that names the file instead; "" for none
  std::string directory;    ///< where the build puts it
  std::string abi;          ///< of the headers it shares with the program; "" for any
  std::string title;        ///< how messages call it: "SimGrid"
  std::string absent;       ///< what to do when there is no such file
  std::string unopened;     ///< what to look at when it cannot be opened
  std::string file = "";    ///< this very one; "": looked for
};

/// The file that open_module would open, or "" if none is found: named by the environment, beside
/// the program, in ../lib or ../lib/paceline, or where the build put it.
std::string find_module(const ModuleInfo& module);

/// The address of a symbol of the module. A module is never closed: its code outlives every object
/// that it made. Throws InputError, in one line: not found, cannot be opened, no module of ours or
/// one from another build (it exports paceline_<name>_abi).
void* module_symbol(const ModuleInfo& module, const char* symbol);

}  // namespace paceline
