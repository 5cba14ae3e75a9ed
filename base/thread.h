#pragma once

#include <functional>
#include <string>
#include <thread>

namespace weighhouse {

/// Starts a named thread (names over 15 characters are cut: prctl(2) PR_SET_NAME). The body gets
/// the thread's stop token; the returned jthread asks it to stop and joins when destroyed.
std::jthread StartThread(std::string name, std::function<void(std::stop_token)> body);

}  // namespace weighhouse
