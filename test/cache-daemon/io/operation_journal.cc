#include "test/cache-daemon/io/operation_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <utility>

#include <fmt/format.h>

#include "base/error.h"
#include "test/support/temporary_directory.h"

namespace weighhouse::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHappened = "happened";
constexpr std::string_view kDidNot = "did not";
constexpr std::string_view kNothing = "nothing";

/// What tells whether an operation has changed its name: that has another file then, or none.
std::string StateOf(const Operation& operation) {
  const std::string& name = operation.kind == "link" ? operation.argument : operation.path;
  struct stat status{};
  if (::lstat(name.c_str(), &status) != 0) return std::string(kNothing);
  return fmt::format("{}:{:o}", status.st_ino, status.st_mode);
}

/// The fields of a line.
std::vector<std::string> Fields(const std::string& line) {
  std::vector<std::string> fields(1);
  for (char c : line) {
    if (c == '\t') {
      fields.emplace_back();
    } else {
      fields.back().push_back(c);
    }
  }
  return fields;
}

}  // namespace

OperationJournal::OperationJournal(const fs::path& record) : path_(record / "journal") {
  fs::create_directories(record);
  file_ = UniqueFd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  CHECK(file_);
  begun_ = ReadUnended();
  if (begun_) End(false);
}

std::optional<OperationJournal::Begun> OperationJournal::ReadUnended() {
  std::string text = ReadTestFile(path_);
  size_t whole = text.rfind('\n') + 1;  // npos + 1 is 0: a kill may tear the first line too
  CHECK(::ftruncate(file_.get(), static_cast<off_t>(whole)) == 0);
  if (whole == 0) return std::nullopt;
  text.resize(whole - 1);
  std::vector<std::string> fields = Fields(text.substr(text.rfind('\n') + 1));
  if (fields.size() == 1) return std::nullopt;
  CHECK(fields.size() == 4);
  return Begun{.operation = {.kind = fields[0], .path = fields[1], .argument = fields[2]},
               .before = fields[3]};
}

void OperationJournal::Begin(Operation operation) {
  CHECK(!begun_);
  std::string before = StateOf(operation);
  Append(
      fmt::format("{}\t{}\t{}\t{}\n", operation.kind, operation.path, operation.argument, before));
  begun_ = Begun{.operation = std::move(operation), .before = std::move(before)};
}

void OperationJournal::End(bool succeeded) {
  CHECK(begun_);
  bool happened = succeeded || HasHappened(*begun_);
  Append(fmt::format("{}\n", happened ? kHappened : kDidNot));
  begun_.reset();
}

bool OperationJournal::HasHappened(const Begun& begun) {
  // Nobody was told of a sync's end.
  if (begun.operation.kind.contains("sync")) return false;
  // The old bytes may be gone.
  if (begun.operation.kind == "write" && begun.before != kNothing) return true;
  return StateOf(begun.operation) != begun.before;
}

void OperationJournal::Append(const std::string& line) {
  CHECK(::write(file_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
}

std::vector<Operation> OperationJournal::Happened() const {
  std::vector<Operation> happened;
  std::ifstream lines(path_);
  std::string begun;
  std::string ended;
  while (std::getline(lines, begun) && std::getline(lines, ended)) {
    if (ended != kHappened) continue;
    std::vector<std::string> fields = Fields(begun);
    happened.push_back({.kind = fields[0], .path = fields[1], .argument = fields[2]});
  }
  return happened;
}

}  // namespace weighhouse::io
