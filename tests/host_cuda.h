// Just enough CUDA, in C++20 on POSIX, to run kernels.cu on a CPU.
//
// Each CUDA thread of a block is a fiber: it runs until __syncthreads(), then the next one
// does, until all have arrived and the first goes on.  The blocks run one after another, so
// __shared__ can be `static`.
//
// A missing __syncthreads() is therefore no race here but a wrong result, the same on every
// run: with the fibers taken in order, thread 0 goes ahead and reads what the others have yet
// to write.  Some such bugs show only in the other order, which is what `backwards` is for.
#pragma once
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <functional>
#include <memory>
#include <vector>

#include <ucontext.h>

#define __global__
#define __device__ static
#define __shared__ static
#define __syncthreads() wait_for_block(__LINE__)

struct Index { unsigned x = 0; };
static Index threadIdx, blockIdx, blockDim, gridDim;

constexpr size_t STACK = 64 * 1024;
constexpr int RUNNING = 0, FINISHED = -1;        // any other state: the line a fiber waits at
constexpr int GOOD = 0, APART = 1, OUTSIDE = 2;  // results of a launch; MISTAKES in host_cuda.py

static ucontext_t scheduler;
static std::vector<ucontext_t> fibers;
static std::vector<int> state;
static std::function<void()> kernel_call;

static void wait_for_block(int line) {
    unsigned me = threadIdx.x;
    state[me] = line;
    swapcontext(&fibers[me], &scheduler);
}

static void run_fiber() {
    unsigned me = threadIdx.x;
    kernel_call();
    state[me] = FINISHED;
}

// Run every fiber up to its next barrier or its end.  False if they stop at different places,
// where a GPU would hang or go on with half of its data.
static bool run_to_barrier(unsigned block, bool backwards) {
    for (unsigned i = 0; i < block; ++i) {
        threadIdx.x = backwards ? block - 1 - i : i;
        swapcontext(&scheduler, &fibers[threadIdx.x]);
    }
    for (unsigned t = 1; t < block; ++t)
        if (state[t] != state[0]) return false;
    return true;
}

static int run_blocks(unsigned grid, unsigned block, bool backwards) {
    static std::unique_ptr<char[]> stacks(new char[1024 * STACK]);  // untouched pages are free
    for (unsigned b = 0; b < grid; ++b) {
        blockIdx.x = b;
        state.assign(block, RUNNING);
        for (unsigned t = 0; t < block; ++t) {
            getcontext(&fibers[t]);
            fibers[t].uc_stack.ss_sp = &stacks[t * STACK];
            fibers[t].uc_stack.ss_size = STACK;
            fibers[t].uc_link = &scheduler;
            makecontext(&fibers[t], run_fiber, 0);
        }
        do {
            if (!run_to_barrier(block, backwards)) return APART;
        } while (state[0] != FINISHED);
    }
    return GOOD;
}

// host_cuda.py puts a page without access behind each array: a kernel that goes there ends here.
static sigjmp_buf before_the_launch;
static void leave_the_launch(int) { siglongjmp(before_the_launch, 1); }

static int run_on_host(unsigned grid, unsigned block, bool backwards,
                       const std::function<void()>& kernel) {
    kernel_call = kernel;
    gridDim.x = grid;
    blockDim.x = block;
    fibers.resize(block);
    struct sigaction leave = {}, before = {};
    leave.sa_handler = leave_the_launch;
    sigaction(SIGSEGV, &leave, &before);
    int result = OUTSIDE;
    if (sigsetjmp(before_the_launch, 1) == 0) result = run_blocks(grid, block, backwards);
    sigaction(SIGSEGV, &before, nullptr);
    return result;
}
