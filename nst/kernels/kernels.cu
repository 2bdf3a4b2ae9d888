// The CUDA twins of numpy_kernels.py, in the same order and under the same names.
//
// Rules of this file
//   * One thread per element, in a grid-stride loop, so any grid size is right.
//   * What does not change from element to element is worked out before the loop: many GPUs
//     have 64 times the units for float32 that they have for double, and none for a division
//     of long longs.
//   * Parameters: what is written, then what is read, then sizes.  Arrays are
//     C-contiguous float32.  Scalars are long long and double, because that is what CuPy
//     passes for a Python int and a Python float; a scalar that was computed on the GPU
//     is read through a pointer, so that the CPU need not wait for it.
//   * A reduction writes one double per block into `partials`, and add_up adds them.
//     No atomics: the same input gives the same bits on every run.
//   * No warp intrinsics and no CUDA headers: this file also compiles as plain C++
//     (tests/host_cuda.h), so the tests can run it on a machine without a GPU.

// This thread's share of 0 .. n-1.
#define FOR_EACH(i, n)                                                          \
    for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n; \
         i += (long long)blockDim.x * gridDim.x)

// This thread's share of an image: of every gridDim.x-th line of all its channels, every
// blockDim.x-th column.  So no pixel costs a division to find out where it is.
#define FOR_EACH_LINE(line, lines) \
    for (long long line = blockIdx.x; line < lines; line += gridDim.x)
#define FOR_EACH_COLUMN(column, width) \
    for (long long column = threadIdx.x; column < width; column += blockDim.x)

// A factor of which the CPU knows one part, and the GPU has computed another, or none.
__device__ double factor_of(const double* computed, double known) {
    return computed ? *computed * known : known;
}

// Add up the threads' values, in a tree; thread 0 stores the block's total.
// The block must be a power of two, of at most 1024 threads.
__device__ void block_sum(double value, double* partials) {
    __shared__ double shared[1024];
    shared[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half_block = blockDim.x / 2; half_block > 0; half_block /= 2) {
        if (threadIdx.x < half_block) shared[threadIdx.x] += shared[threadIdx.x + half_block];
        __syncthreads();
    }
    if (threadIdx.x == 0) partials[blockIdx.x] = shared[0];
}

// The sum of the blocks' partial sums, divided: by one block, for either precision of result.
__device__ void add_up_partials(double* partials, long long blocks) {
    double sum = 0.0;
    FOR_EACH(i, blocks) {
        sum += partials[i];
    }
    block_sum(sum, partials);
}

extern "C" __global__ void add_up(float* result, double* partials, long long blocks,
                                  double divisor) {
    add_up_partials(partials, blocks);
    if (threadIdx.x == 0) *result = (float)(partials[0] / divisor);
}

extern "C" __global__ void add_up_exactly(double* result, double* partials, long long blocks,
                                          double divisor) {
    add_up_partials(partials, blocks);
    if (threadIdx.x == 0) *result = partials[0] / divisor;
}

// ---- Gram matrix -------------------------------------------------------------------
//
// numpy: flat @ flat.T.  Element (i, j) needs all of rows i and j of the (channels, pixels)
// matrix.  Reading them from global memory for every element would fetch each value
// 2 * channels times, so a block computes a whole TILE x TILE square of elements and
// fetches each value it needs once, into shared memory, DEPTH pixels at a time:
//
//                 pixels                          columns: TILE channels
//              <- DEPTH ->                        +---------------------+
//            +------------+                       | each of 256 threads |
//   TILE     | rows       |   times columns.T =   | sums 4 x 4 elements |  TILE channels
//   channels |            |                       | in its registers    |
//            +------------+                       +---------------------+
//
// With few channels there are few squares, too few to fill a GPU.  So the pixels are cut
// into strips, `slices` blocks share the strips of one square, and the kernel `gram` adds
// their results.  Sums are float within a strip and double from strip to strip.
//
// Blocks: slices * tiles * tiles, where tiles = ceil(channels / TILE); 256 threads each.

constexpr int TILE = 64;    // channels along each side of a block's square
constexpr int SIDE = 16;    // threads along each side: 16 * 16 = 256
constexpr int EACH = 4;     // elements along each side of one thread's share: TILE / SIDE
constexpr int DEPTH = 16;   // pixels in shared memory at a time: SIDE, so that each thread loads one
constexpr int STRIP = 256;  // pixels summed in float

__device__ float feature_or_zero(const float* features, long long channel, long long pixel,
                                 long long channels, long long pixels) {
    bool inside = channel < channels && pixel < pixels;
    return inside ? features[channel * pixels + pixel] : 0.0f;
}

extern "C" __global__ void gram_partials(double* partials, const float* features,
                                         long long channels, long long pixels,
                                         long long slices) {
    // Two columns of padding: the 32 threads of a warp store to 32 different memory banks.
    __shared__ float rows[DEPTH][TILE + 2];
    __shared__ float columns[DEPTH][TILE + 2];

    long long tiles = (channels + TILE - 1) / TILE;
    long long first_column = blockIdx.x % tiles * TILE;
    long long first_row = blockIdx.x / tiles % tiles * TILE;
    long long slice = blockIdx.x / (tiles * tiles);
    if (first_row > first_column) return;  // symmetric: `gram` mirrors the upper half

    int my_row = threadIdx.x / SIDE;
    int my_column = threadIdx.x % SIDE;
    double total[EACH][EACH] = {};

    for (long long strip = slice; strip * STRIP < pixels; strip += slices) {
        float sum[EACH][EACH] = {};
        for (int offset = 0; offset < STRIP; offset += DEPTH) {
            long long pixel = strip * STRIP + offset + my_column;  // neighbours read neighbours
            for (int e = 0; e < EACH; ++e) {
                int channel = my_row + SIDE * e;
                rows[my_column][channel] =
                    feature_or_zero(features, first_row + channel, pixel, channels, pixels);
                columns[my_column][channel] =
                    feature_or_zero(features, first_column + channel, pixel, channels, pixels);
            }
            __syncthreads();  // all of the tile is there
            for (int d = 0; d < DEPTH; ++d)
                for (int r = 0; r < EACH; ++r)
                    for (int c = 0; c < EACH; ++c)
                        sum[r][c] += rows[d][my_row + SIDE * r] * columns[d][my_column + SIDE * c];
            __syncthreads();  // nobody still reads it: the next may overwrite it
        }
        for (int r = 0; r < EACH; ++r)
            for (int c = 0; c < EACH; ++c) total[r][c] += sum[r][c];
    }

    for (int r = 0; r < EACH; ++r)
        for (int c = 0; c < EACH; ++c) {
            long long row = first_row + my_row + SIDE * r;
            long long column = first_column + my_column + SIDE * c;
            if (row < channels && column < channels)
                partials[(slice * channels + row) * channels + column] = total[r][c];
        }
}

// numpy: ... / divisor
extern "C" __global__ void gram(float* result, const double* partials, long long channels,
                                long long slices, double divisor) {
    double share = 1.0 / divisor;
    FOR_EACH_LINE(row, channels) FOR_EACH_COLUMN(column, channels) {
        long long upper = row < column ? row * channels + column : column * channels + row;
        double sum = 0.0;
        for (long long slice = 0; slice < slices; ++slice)
            sum += partials[slice * channels * channels + upper];
        result[row * channels + column] = (float)(sum * share);
    }
}

// gram_backward, moments and moments_backward are matrix products, which cuBLAS does for
// cupy_kernels.py; symmetric_power is cuSOLVER's, and so is what newton_schulz begins with.

// numpy: both loops over the steps, for each eigenvalue.  One block has all of them: their
// squares are added up twice, and `shared_sum` is where its threads read that.
extern "C" __global__ void newton_schulz(double* roots, double* d_values, double* shared_sum,
                                         const double* values, long long count,
                                         long long steps) {
    if (blockIdx.x > 0) return;
    double squares = 0.0;
    for (long long i = threadIdx.x; i < count; i += blockDim.x) squares += values[i] * values[i];
    block_sum(squares, shared_sum);
    __syncthreads();
    double norm = sqrt(*shared_sum), over_norm = 1.0 / norm, root_of_norm = sqrt(norm);
    squares = 0.0;
    for (long long i = threadIdx.x; i < count; i += blockDim.x) {
        double y = values[i] * over_norm, z = 1.0;
        for (long long step = 0; step < steps; ++step) {
            double t = (3.0 - z * y) * 0.5;
            y *= t;
            z *= t;
        }
        roots[i] = y * root_of_norm;
        squares += roots[i] * roots[i];
    }
    block_sum(squares, shared_sum);
    __syncthreads();
    double over_size = 1.0 / sqrt(*shared_sum);
    for (long long i = threadIdx.x; i < count; i += blockDim.x) {
        double a = roots[i] * over_size, q = over_size;
        for (long long step = 0; step < steps; ++step) {
            double t = (3.0 - a * a) * 0.5;
            a *= t;
            q *= t;
        }
        d_values[i] = q * 0.5;
    }
}

// ---- Mean squared error ------------------------------------------------------------

// numpy: sum((x - target) ** 2), before the division by n
extern "C" __global__ void mse(double* partials, const float* x, const float* target,
                               long long n) {
    double sum = 0.0;
    FOR_EACH(i, n) {
        double difference = x[i] - target[i];
        sum += difference * difference;
    }
    block_sum(sum, partials);
}

// numpy: (x - target) * (d_loss * 2 / x.size)
extern "C" __global__ void mse_backward(float* d_x, const float* x, const float* target,
                                        const double* d_loss, double known, long long n) {
    float factor = (float)(factor_of(d_loss, known) * 2.0 / n);
    FOR_EACH(i, n) {
        d_x[i] = (x[i] - target[i]) * factor;
    }
}

// numpy: sum(mask * (x - target) ** 2), before the division by x.size.  One thread for a pixel of
// all channels: the mask is read once.
extern "C" __global__ void masked_mse(double* partials, const float* x, const float* target,
                                      const float* mask, long long channels, long long pixels) {
    double sum = 0.0;
    FOR_EACH(pixel, pixels) {
        double squares = 0.0;
        for (long long i = pixel; i < channels * pixels; i += pixels) {
            double difference = x[i] - target[i];
            squares += difference * difference;
        }
        sum += mask[pixel] * squares;
    }
    block_sum(sum, partials);
}

// numpy: mask * (x - target) * (d_loss * 2 / x.size)
extern "C" __global__ void masked_mse_backward(float* d_x, const float* x, const float* target,
                                               const float* mask, const double* d_loss,
                                               double known, long long channels,
                                               long long pixels, long long add) {
    float factor = (float)(factor_of(d_loss, known) * 2.0 / (channels * pixels));
    FOR_EACH(pixel, pixels) {
        for (long long i = pixel; i < channels * pixels; i += pixels)
            d_x[i] = (add ? d_x[i] : 0.0f) + (x[i] - target[i]) * mask[pixel] * factor;
    }
}

// ---- Total variation ---------------------------------------------------------------
//
// The NumPy twin scatters each step's pull to its two ends; here each pixel gathers the
// pulls of its four steps instead, so that no two threads write to the same place.

// numpy: np.sign.  NaN stays NaN.
__device__ float sign(float x) {
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x;
}

// numpy: sum(abs(right)) / m + sum(abs(below)) / n
extern "C" __global__ void total_variation_l1(
    double* partials, const float* image, long long lines, long long height, long long width,
    double right_divisor, double below_divisor) {
    double to_right = 0.0, to_below = 0.0;
    FOR_EACH_LINE(line, lines) {
        long long row = line % height;
        FOR_EACH_COLUMN(column, width) {
            long long i = line * width + column;
            if (column + 1 < width) to_right += fabsf(image[i + 1] - image[i]);
            if (row + 1 < height) to_below += fabsf(image[i + width] - image[i]);
        }
    }
    block_sum(to_right / right_divisor + to_below / below_divisor, partials);
}

extern "C" __global__ void total_variation_l1_backward(
    float* d_image, const float* image, const double* d_loss, double known, long long lines,
    long long height, long long width, double right_divisor, double below_divisor,
    long long add) {
    double pull = factor_of(d_loss, known);
    float to_right = (float)(pull / right_divisor);
    float to_below = (float)(pull / below_divisor);
    FOR_EACH_LINE(line, lines) {
        long long row = line % height;
        FOR_EACH_COLUMN(column, width) {
            long long i = line * width + column;
            float here = image[i];
            float along = 0.0f;  // pulls of the steps from the left and to the right
            float across = 0.0f;  // and of those from above and to below
            if (column > 0) along += sign(here - image[i - 1]);
            if (column + 1 < width) along += sign(here - image[i + 1]);
            if (row > 0) across += sign(here - image[i - width]);
            if (row + 1 < height) across += sign(here - image[i + width]);
            d_image[i] = (add ? d_image[i] : 0.0f) + (along * to_right + across * to_below);
        }
    }
}

// numpy: sum(right**2) / m + sum(below**2) / n
extern "C" __global__ void total_variation_l2(
    double* partials, const float* image, long long lines, long long height, long long width,
    double right_divisor, double below_divisor) {
    double to_right = 0.0, to_below = 0.0;
    FOR_EACH_LINE(line, lines) {
        long long row = line % height;
        FOR_EACH_COLUMN(column, width) {
            long long i = line * width + column;
            double right = column + 1 < width ? image[i + 1] - image[i] : 0.0f;
            double below = row + 1 < height ? image[i + width] - image[i] : 0.0f;
            to_right += right * right;
            to_below += below * below;
        }
    }
    block_sum(to_right / right_divisor + to_below / below_divisor, partials);
}

extern "C" __global__ void total_variation_l2_backward(
    float* d_image, const float* image, const double* d_loss, double known, long long lines,
    long long height, long long width, double right_divisor, double below_divisor,
    long long add) {
    double pull = 2.0 * factor_of(d_loss, known);
    float to_right = (float)(pull / right_divisor);
    float to_below = (float)(pull / below_divisor);
    FOR_EACH_LINE(line, lines) {
        long long row = line % height;
        FOR_EACH_COLUMN(column, width) {
            long long i = line * width + column;
            float here = image[i];
            float along = 0.0f;  // pulls of the steps from the left and to the right
            float across = 0.0f;  // and of those from above and to below
            if (column > 0) along += here - image[i - 1];
            if (column + 1 < width) along += here - image[i + 1];
            if (row > 0) across += here - image[i - width];
            if (row + 1 < height) across += here - image[i + width];
            d_image[i] = (add ? d_image[i] : 0.0f) + (along * to_right + across * to_below);
        }
    }
}

// numpy: the same of the inner steps, halved
extern "C" __global__ void total_variation_johnson(
    double* partials, const float* image, long long lines, long long height, long long width,
    double right_divisor, double below_divisor) {
    double to_right = 0.0, to_below = 0.0;
    FOR_EACH_LINE(line, lines) {
        long long row = line % height;
        if (row + 1 == height) continue;
        FOR_EACH_COLUMN(column, width - 1) {
            long long i = line * width + column;
            double right = image[i + 1] - image[i];
            double below = image[i + width] - image[i];
            to_right += right * right;
            to_below += below * below;
        }
    }
    block_sum(to_right / (2.0 * right_divisor) + to_below / (2.0 * below_divisor), partials);
}

extern "C" __global__ void total_variation_johnson_backward(
    float* d_image, const float* image, const double* d_loss, double known, long long lines,
    long long height, long long width, double right_divisor, double below_divisor,
    long long add) {
    double pull = factor_of(d_loss, known);
    float to_right = (float)(pull / right_divisor);
    float to_below = (float)(pull / below_divisor);
    FOR_EACH_LINE(line, lines) {
        long long row = line % height;
        FOR_EACH_COLUMN(column, width) {
            long long i = line * width + column;
            float here = image[i];
            float along = 0.0f;  // pulls of the steps from the left and to the right
            float across = 0.0f;  // and of those from above and to below
            bool inner_row = row + 1 < height;
            bool inner_column = column + 1 < width;
            if (column > 0 && inner_row) along += here - image[i - 1];
            if (inner_column && inner_row) along += here - image[i + 1];
            if (row > 0 && inner_column) across += here - image[i - width];
            if (inner_row && inner_column) across += here - image[i + width];
            d_image[i] = (add ? d_image[i] : 0.0f) + (along * to_right + across * to_below);
        }
    }
}

// The image with its border repeated around it: pixels outside are the nearest ones inside.
__device__ float repeated(const float* channel, long long row, long long column,
                          long long height, long long width) {
    row = row < 0 ? 0 : row < height ? row : height - 1;
    column = column < 0 ? 0 : column < width ? column : width - 1;
    return channel[row * width + column];
}

// numpy: the last two of the four means, along the diagonals; the first two are L2's.
// One element for each corner between four pixels, those on the border included: `lines` of them
// in all channels together, each of width + 1.
extern "C" __global__ void total_variation_crowson(double* partials, const float* image,
                                                   long long lines, long long height,
                                                   long long width) {
    double sum = 0.0;
    FOR_EACH_LINE(line, lines) {
        long long row = line % (height + 1);
        const float* channel = image + line / (height + 1) * height * width;
        FOR_EACH_COLUMN(column, width + 1) {
            double falling = repeated(channel, row, column, height, width) -
                             repeated(channel, row - 1, column - 1, height, width);
            double rising = repeated(channel, row, column - 1, height, width) -
                            repeated(channel, row - 1, column, height, width);
            sum += falling * falling + rising * rising;
        }
    }
    block_sum(sum / (6.0 * lines * (width + 1)), partials);
}

// The pulls of the diagonals, added to those of L2.  A pixel on the border also stands for its
// repetition outside: the loops are over all places (r, c) that show this pixel.
extern "C" __global__ void total_variation_crowson_backward(
    float* d_image, const float* image, const double* d_loss, double known, long long lines,
    long long height, long long width, long long corners) {
    float factor = (float)(factor_of(d_loss, known) / (3.0 * corners));
    FOR_EACH_LINE(line, lines) {
        long long row = line % height;
        const float* channel = image + line / height * height * width;
        FOR_EACH_COLUMN(column, width) {
            float here = channel[row * width + column];
            float pull = 0.0f;
            for (long long r = row - (row == 0); r <= row + (row + 1 == height); ++r)
                for (long long c = column - (column == 0); c <= column + (column + 1 == width); ++c)
                    for (int up = -1; up <= 1; up += 2)
                        for (int left = -1; left <= 1; left += 2) {
                            bool inside = r + up >= -1 && r + up <= height && c + left >= -1 &&
                                          c + left <= width;
                            if (inside)
                                pull += here - repeated(channel, r + up, c + left, height, width);
                        }
            d_image[line * width + column] += pull * factor;
        }
    }
}

// ---- Edges -------------------------------------------------------------------------

// numpy: _laplacian, at one pixel
__device__ float laplacian_at(const float* channel, long long row, long long column,
                              long long height, long long width) {
    return 4.0f * channel[row * width + column] -
           (repeated(channel, row - 1, column, height, width) +
            repeated(channel, row + 1, column, height, width)) -
           (repeated(channel, row, column - 1, height, width) +
            repeated(channel, row, column + 1, height, width));
}

// The NumPy twin adds up the channels first; here each channel's Laplacian is added up, so that
// nothing is kept between the two.
extern "C" __global__ void laplacian(float* found, const float* image, long long channels,
                                     long long height, long long width) {
    FOR_EACH_LINE(row, height) {
        FOR_EACH_COLUMN(column, width) {
            float sum = 0.0f;
            for (long long c = 0; c < channels; ++c)
                sum += laplacian_at(image + c * height * width, row, column, height, width);
            found[row * width + column] = sum;
        }
    }
}

// numpy: the Laplacian of d_laplacian, in every channel
extern "C" __global__ void laplacian_backward(float* d_image, const float* d_laplacian,
                                              long long channels, long long height,
                                              long long width, long long add) {
    FOR_EACH_LINE(row, height) {
        FOR_EACH_COLUMN(column, width) {
            float pull = laplacian_at(d_laplacian, row, column, height, width);
            for (long long c = 0; c < channels; ++c) {
                float* here = d_image + (c * height + row) * width + column;
                *here = add ? *here + pull : pull;
            }
        }
    }
}

// ---- Margin ------------------------------------------------------------------------
//
// The NumPy twin folds the margin in, rows first; here each pixel gathers the pulls on itself and
// on its mirror images, so that no two threads write to the same place.

// Which of n places is shown at `place`, which may be up to n beyond either end.
__device__ long long mirror(long long place, long long n) {
    return place < 0 ? -1 - place : place < n ? place : 2 * n - 1 - place;
}

// Of the three places where n places in a row show `place`, with mirrors on both sides: the k-th.
__device__ long long shown_at(int k, long long place, long long n) {
    return k == 0 ? place : k == 1 ? -1 - place : 2 * n - 1 - place;
}

// numpy: np.pad(..., "symmetric").  `lines` are those of the result, in all channels together.
extern "C" __global__ void reflect(float* reflected, const float* image, long long lines,
                                   long long height, long long width, long long margin) {
    long long wide = width + 2 * margin;
    FOR_EACH_LINE(line, lines) {
        long long channel = line / (height + 2 * margin);
        long long row = mirror(line % (height + 2 * margin) - margin, height);
        const float* from = image + (channel * height + row) * width;
        FOR_EACH_COLUMN(column, wide) {
            reflected[line * wide + column] = from[mirror(column - margin, width)];
        }
    }
}

// Rows first, as the NumPy twin adds them up.
extern "C" __global__ void reflect_backward(float* d_image, const float* d_reflected,
                                            long long lines, long long height, long long width,
                                            long long margin) {
    long long high = height + 2 * margin, wide = width + 2 * margin;
    FOR_EACH_LINE(line, lines) {
        long long row = line % height;
        const float* channel = d_reflected + line / height * high * wide;
        FOR_EACH_COLUMN(column, width) {
            float pull = 0.0f;
            for (int k = 0; k < 3; ++k) {
                long long c = shown_at(k, column, width) + margin;
                if (c < 0 || c >= wide) continue;
                float along = 0.0f;
                for (int j = 0; j < 3; ++j) {
                    long long r = shown_at(j, row, height) + margin;
                    if (r >= 0 && r < high) along += channel[r * wide + c];
                }
                pull += along;
            }
            d_image[line * width + column] = pull;
        }
    }
}

// ---- Colour ------------------------------------------------------------------------

// numpy: 0.299 * red + 0.587 * green + 0.114 * blue.  The three planes lie one after another.
extern "C" __global__ void luminance(float* luma, const float* image, long long pixels) {
    FOR_EACH(i, pixels) {
        luma[i] = 0.299f * image[i] + 0.587f * image[pixels + i] + 0.114f * image[2 * pixels + i];
    }
}

// ---- Vectors -----------------------------------------------------------------------

// numpy: sum(x * y)
extern "C" __global__ void dot(double* partials, const float* x, const float* y, long long n) {
    double sum = 0.0;
    FOR_EACH(i, n) {
        sum += (double)x[i] * y[i];
    }
    block_sum(sum, partials);
}

// numpy: vectors @ x, before the blocks are added up: a row of partial sums for each vector.  A
// block has the same share of all of them, so that it reads its x from the cache but once.
extern "C" __global__ void dots_partials(double* partials, const float* vectors, const float* x,
                                         long long count, long long n) {
    for (long long vector = 0; vector < count; ++vector, vectors += n, partials += gridDim.x) {
        double sum = 0.0;
        FOR_EACH(i, n) {
            sum += (double)vectors[i] * x[i];
        }
        block_sum(sum, partials);
    }
}

// One block for each vector.
extern "C" __global__ void dots(double* products, const double* partials, long long blocks) {
    double sum = 0.0;
    const double* own = partials + blockIdx.x * blocks;
    for (long long i = threadIdx.x; i < blocks; i += blockDim.x) sum += own[i];
    block_sum(sum, products);
}

// numpy: y += coefficients @ vectors.  Each element is read and written once, for all vectors.
extern "C" __global__ void combine(float* y, const float* coefficients, const float* vectors,
                                   long long count, long long n) {
    FOR_EACH(i, n) {
        float sum = y[i];
        const float* value = vectors + i;
        for (long long vector = 0; vector < count; ++vector, value += n)
            sum += coefficients[vector] * *value;
        y[i] = sum;
    }
}

// numpy: x[i] = (known[i] - matrix[i] @ x) / matrix[i, i].  One block: as soon as an unknown is
// found, its threads take its part from what is known of all those to come.
extern "C" __global__ void substitute_back(double* x, const double* upper, const double* known,
                                           long long n, long long transposed) {
    if (blockIdx.x > 0) return;
    for (long long j = threadIdx.x; j < n; j += blockDim.x) x[j] = known[j];
    for (long long step = 0; step < n; ++step) {
        long long i = transposed ? step : n - 1 - step;
        __syncthreads();  // all that was found is taken away
        if (threadIdx.x == 0) x[i] /= upper[i * n + i];
        __syncthreads();
        double found = x[i];
        long long first = transposed ? i + 1 : 0, end = transposed ? n : i;
        for (long long j = first + threadIdx.x; j < end; j += blockDim.x)
            x[j] -= (transposed ? upper[i * n + j] : upper[j * n + i]) * found;
    }
}

// numpy: y += scale * x
extern "C" __global__ void axpy(float* y, const double* scale, double known, const float* x,
                                long long n) {
    float factor = (float)factor_of(scale, known);
    FOR_EACH(i, n) {
        y[i] += factor * x[i];
    }
}

// numpy: x *= factor
extern "C" __global__ void scale(float* x, const double* factor, double known, long long n) {
    float whole = (float)factor_of(factor, known);
    FOR_EACH(i, n) {
        x[i] *= whole;
    }
}

// numpy: np.clip.  Not fminf and fmaxf: they would turn NaN into a bound.
extern "C" __global__ void clip(float* image, double low, double high, long long n) {
    FOR_EACH(i, n) {
        if (image[i] < (float)low) image[i] = (float)low;
        if (image[i] > (float)high) image[i] = (float)high;
    }
}

// ---- Steps -------------------------------------------------------------------------
//
// np.std takes two passes, mean first: the mean of squares less the square of the mean
// would cancel to nothing where the mean is far from zero.

extern "C" __global__ void normalised_descent_step_sum(double* partials, const float* d_image,
                                                       long long n) {
    double sum = 0.0;
    FOR_EACH(i, n) {
        sum += d_image[i];
    }
    block_sum(sum, partials);
}

extern "C" __global__ void normalised_descent_step_squares(double* partials,
                                                           const float* d_image,
                                                           const double* mean, long long n) {
    double sum = 0.0, middle = *mean;
    FOR_EACH(i, n) {
        double deviation = d_image[i] - middle;
        sum += deviation * deviation;
    }
    block_sum(sum, partials);
}

// numpy: image -= step_size / (spread + epsilon) * d_image
extern "C" __global__ void normalised_descent_step(float* image, const float* d_image,
                                                   const double* variance, double step_size,
                                                   double epsilon, long long n) {
    float factor = (float)(step_size / (sqrt(*variance) + epsilon));
    FOR_EACH(i, n) {
        image[i] -= factor * d_image[i];
    }
}

// All of the NumPy twin's lines in one pass over memory, which is what a step on a GPU costs.
// correction1 = 1 - beta1**step, and correction2 likewise.
extern "C" __global__ void adam_step(float* image, float* first_moment, float* second_moment,
                                     const float* d_image, double step_size, double beta1,
                                     double beta2, double epsilon, double correction1,
                                     double correction2, long long n) {
    float old1 = (float)beta1, new1 = (float)(1.0 - beta1);
    float old2 = (float)beta2, new2 = (float)(1.0 - beta2);
    FOR_EACH(i, n) {
        float slope = d_image[i];
        float first = old1 * first_moment[i] + new1 * slope;
        float second = old2 * second_moment[i] + new2 * (slope * slope);
        first_moment[i] = first;
        second_moment[i] = second;
        float mean = first / (float)correction1;
        float mean_square = second / (float)correction2;
        image[i] -= (float)step_size * mean / (sqrtf(mean_square) + (float)epsilon);
    }
}

// ---- Bands of frequencies ------------------------------------------------------------
//
// A block has one of the `slices` of one band of one channel: every slices-th row of the L that
// frequencies.py draws, whose corner it works out for itself.

// frequencies._reach: the least n with n * n * 2**above >= side * side
__device__ long long reach(long long side, long long above) {
    long long n = (long long)sqrt((double)side * side / (double)(1LL << above));
    while (n > 0 && ((n * n) << above) >= side * side) --n;
    while (((n * n) << above) < side * side) ++n;
    return n;
}

// This thread's share of the band that is this block's: i is where in the spectrum.
#define FOR_EACH_IN_BAND(i, height, width, bands, slices)                                      \
    long long band = blockIdx.x / slices % bands + 1, channel = blockIdx.x / (slices * bands); \
    long long bottom = reach(height, bands - band), right = reach(width, bands - band);        \
    long long top = band == 1 ? 0 : reach(height, bands - band + 1);                           \
    long long left = band == 1 ? 0 : reach(width, bands - band + 1);                           \
    for (long long row = blockIdx.x % slices; row < bottom; row += slices)                     \
        for (long long column = (row < top ? left : 0) + threadIdx.x,                          \
                       i = (channel * height + row) * width + column;                          \
             column < right; column += blockDim.x, i += blockDim.x)

extern "C" __global__ void band_squares(double* partials, const float* spectrum,
                                        long long height, long long width, long long bands,
                                        long long slices) {
    double sum = 0.0;
    FOR_EACH_IN_BAND(i, height, width, bands, slices) {
        sum += spectrum[i] * spectrum[i];
    }
    block_sum(sum, partials);
}

extern "C" __global__ void scale_bands(float* spectrum, const double* factors, long long height,
                                       long long width, long long bands, long long slices) {
    float factor = (float)factors[blockIdx.x / slices];
    FOR_EACH_IN_BAND(i, height, width, bands, slices) {
        spectrum[i] *= factor;
    }
}
