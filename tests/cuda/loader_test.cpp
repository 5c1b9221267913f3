#include <gmock/gmock.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "kernels/cuda_module.hpp"

namespace paceline::kernels {
namespace {

using testing::HasSubstr;

std::string refusal(int device = 0) {
  try {
    load_cuda_backend(device);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

class CudaLoader : public testing::Test {
 protected:
  static void name(const std::string& file) { setenv("PACELINE_CUDA_MODULE", file.c_str(), 1); }
  static std::string output_of(const std::string& command) {
    std::string text;
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer{};
    while (fgets(buffer.data(), buffer.size(), pipe) != nullptr) text += buffer.data();
    pclose(pipe);
    return text;
  }
};

TEST_F(CudaLoader, NamesTheFileThatCannotBeOpened) {
  name("/no/such/libpaceline_cuda.so");
  EXPECT_THAT(refusal(), HasSubstr("/no/such/libpaceline_cuda.so cannot be opened"));
}

TEST_F(CudaLoader, RefusesALibraryThatIsNoModule) {
  name("libm.so.6");
  EXPECT_THAT(refusal(), HasSubstr("is not a Paceline CUDA module"));
}

TEST_F(CudaLoader, RefusesAModuleOfAnotherBuild) {
  const auto folder = std::filesystem::path(testing::TempDir());
  const auto source = folder / "paceline_other.cpp";
  const auto module = folder / "paceline_other.so";
  std::ofstream(source) << "extern \"C\" const char* paceline_cuda_abi() { return \"older\"; }\n";
  const std::string command =
      "c++ -shared -fPIC -o '" + module.string() + "' '" + source.string() + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  name(module.string());
  EXPECT_THAT(refusal(), HasSubstr("from another build of Paceline (interface older"));
}

TEST_F(CudaLoader, ThisProgramLinksNoCudaLibrary) {
  const std::string libraries = output_of("ldd /proc/" + std::to_string(getpid()) + "/exe");
  EXPECT_THAT(libraries, HasSubstr("libstdc++"));
  for (const char* cuda : {"libcuda", "libcudart", "libcublas", "libcudnn", "libpaceline_cuda"}) {
    EXPECT_THAT(libraries, testing::Not(HasSubstr(cuda)));
  }
}

#ifdef PACELINE_CUDA_MODULE_FILE
TEST_F(CudaLoader, FindsTheModuleOfItsOwnBuild) {
  unsetenv("PACELINE_CUDA_MODULE");
  EXPECT_TRUE(std::filesystem::equivalent(find_cuda_module(), PACELINE_CUDA_MODULE_FILE));
}

TEST_F(CudaLoader, ModuleLinksItsLibrariesButNotTheDriver) {
  const std::string libraries = output_of("ldd '" PACELINE_CUDA_MODULE_FILE "'");
  EXPECT_THAT(libraries, HasSubstr("libcublas"));
  EXPECT_THAT(libraries, testing::Not(HasSubstr("libcuda.so")));
  EXPECT_THAT(libraries, testing::Not(HasSubstr("libnvidia-ml")));
}

// On a machine with GPUs the number that does not exist is what is refused; without, the absence
// itself.
TEST_F(CudaLoader, SaysThatThereIsNoSuchGpu) {
  unsetenv("PACELINE_CUDA_MODULE");
  const std::string message = refusal(4711);
  EXPECT_THAT(message,
              testing::AnyOf(HasSubstr("no GPU was found"), HasSubstr("there is no GPU 4711"),
                             HasSubstr("driver is too old")));
  EXPECT_THAT(message, testing::Not(HasSubstr("\n")));
}
#else
TEST_F(CudaLoader, SaysThatTheModuleWasNotBuilt) {
  unsetenv("PACELINE_CUDA_MODULE");
  EXPECT_THAT(refusal(), HasSubstr("was not found beside the program"));
}
#endif

}  // namespace
}  // namespace paceline::kernels
