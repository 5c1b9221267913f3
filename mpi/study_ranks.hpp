#pragma once

#include "mpi/world.hpp"
#include "studies/hand_out.hpp"

namespace paceline {

/// The points of a study by all ranks, one at a time each; rank 0 hands them out and alone has the store.

/// Of rank 0.
class StudyRanks : public Workers {
 public:
  explicit StudyRanks(const World& world) : world_(world) {}
  [[nodiscard]] std::size_t count() const override {
    return static_cast<std::size_t>(world_.size() - 1);
  }
  void give(std::size_t worker, const std::string& task) override;
  std::optional<Answer> answer() override;
  void rest() override;

 private:
  const World& world_;
};

/// Of the others: until rank 0 has no more.
void make_points(const World& world, const Study& study);

}  // namespace paceline
